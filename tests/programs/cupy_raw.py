# SPDX-License-Identifier: Apache-2.0
"""cupy_raw.py CUBIN KERNEL: CuPy launches PyTorch's layer-norm forward as a raw kernel, then kernels of its own. Prints
the largest error of y, as a share of the bound in rows.h, and a sum."""

import sys

import cupy
import numpy as np
from rows import print_error

kernel = cupy.RawModule(path=sys.argv[1]).get_function(sys.argv[2])
x = cupy.random.default_rng(0).standard_normal((5, 768), dtype=cupy.float32)
y, mean, rstd, null = cupy.zeros_like(x), *(cupy.zeros(64, cupy.float32) for _ in range(2)), np.uintp(0)
kernel((5,), (32, 4), (np.int32(768), np.float32(1e-5), x, null, null, mean, rstd, y), shared_mem=24)
print_error(cupy.asnumpy(x), cupy.asnumpy(y))
print(float((cupy.arange(1000, dtype=cupy.float64) ** 2).sum()))
