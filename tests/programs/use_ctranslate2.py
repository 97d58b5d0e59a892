# SPDX-License-Identifier: Apache-2.0
"""CTranslate2, whose library has the CUDA runtime inside. Without a real driver that gives up at its start."""

import ctranslate2

print("devices:", ctranslate2.get_cuda_device_count())
try:
    ctranslate2.Translator(".", device="cuda")
except RuntimeError as error:
    print(error)
