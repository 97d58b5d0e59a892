# SPDX-License-Identifier: Apache-2.0
"""CuPy, whose module has the CUDA runtime inside, which does not start without a real driver."""

import cupy

try:
    print(cupy.arange(5).sum())
except cupy.cuda.runtime.CUDARuntimeError as error:
    print(error)
