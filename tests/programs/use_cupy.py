# SPDX-License-Identifier: Apache-2.0
"""CuPy, whose module has the CUDA runtime inside. Without a real driver that gives up at its start."""

import cupy

try:
    print(cupy.arange(5).sum())
except cupy.cuda.runtime.CUDARuntimeError as error:
    print(error)
