# SPDX-License-Identifier: Apache-2.0
"""CTranslate2, whose library has the CUDA runtime inside, which does not start without a real driver."""

import ctranslate2

print("devices:", ctranslate2.get_cuda_device_count())
try:
    ctranslate2.Translator(".", device="cuda")
except RuntimeError as error:
    print(error)
