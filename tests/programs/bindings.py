# SPDX-License-Identifier: Apache-2.0
"""bindings.py CUBIN KERNEL: cuda-bindings, Python's access to the driver, launches PyTorch's layer-norm forward (the
vectorized kernel for float), 5 rows of 768. Prints the largest error of y, as a share of the bound in rows.h."""

import ctypes
import sys

import numpy as np
from cuda.bindings import driver
from rows import print_error


def ok(result):
    assert result[0] == driver.CUresult.CUDA_SUCCESS, result[0]
    return result[1] if len(result) == 2 else result[1:]


ok(driver.cuInit(0))
ok(driver.cuCtxSetCurrent(ok(driver.cuDevicePrimaryCtxRetain(0))))
with open(sys.argv[1], "rb") as file:
    module = ok(driver.cuModuleLoadData(file.read()))
kernel = ok(driver.cuModuleGetFunction(module, sys.argv[2].encode()))
x = np.random.default_rng(0).standard_normal((5, 768), dtype=np.float32)
y = np.zeros_like(x)
memory = [ok(driver.cuMemAlloc(n)) for n in (x.nbytes, 256, 256, x.nbytes)]
ok(driver.cuMemcpyHtoD(memory[0], x.ctypes.data, x.nbytes))
values = 768, 1e-5, int(memory[0]), 0, 0, *(int(m) for m in memory[1:])
types = ctypes.c_int, ctypes.c_float, *[ctypes.c_void_p] * 6
ok(driver.cuLaunchKernel(kernel, 5, 1, 1, 32, 4, 1, 24, 0, (values, types), 0))
ok(driver.cuCtxSynchronize())
ok(driver.cuMemcpyDtoH(y.ctypes.data, memory[3], y.nbytes))
print_error(x, y)
