# SPDX-License-Identifier: Apache-2.0
"""What the tests of the references share: originals*.c as a library of its own, which needs no device, and values that
are rounded once."""
import ctypes
import functools
import pathlib
import subprocess
import tempfile

import numpy
import torch

HERE = pathlib.Path(__file__).resolve().parent


def names(pattern):
    """All names in these files of tests/data/symbols."""
    return sorted({s for f in HERE.parent.glob(f"data/symbols/{pattern}") for s in f.read_text().split()})


class Launch(ctypes.Structure):  # struct softgpu_original
    _fields_ = [("symbol", ctypes.c_char_p), ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3),
                ("params", ctypes.POINTER(ctypes.c_void_p))]  # fmt: skip


@functools.cache
def library():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "originals.so")
        subprocess.run(["cc", "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", path,
                        *HERE.glob("originals*.c"), "-lm"], check=True)  # fmt: skip
        return ctypes.CDLL(str(path))


def run(symbol, grid, *params, block=(1, 1, 1)):
    """Runs a reference; params are tensors and ctypes values. Returns 0, or -1 for an unknown name."""
    params = [ctypes.c_void_p(p.data_ptr()) if isinstance(p, torch.Tensor) else p for p in params]
    addresses = (ctypes.c_void_p * len(params))(*[ctypes.addressof(p) for p in params])
    dims = ctypes.c_uint * 3
    return library().softgpu_original_run(ctypes.byref(Launch(symbol.encode(), dims(*grid), dims(*block), addresses)))


def rounded(values, dtype):
    """Converts to dtype in one step; for the half types torch itself goes through float."""
    if dtype == torch.float16:
        return torch.from_numpy(values.numpy().astype(numpy.float16))
    if dtype == torch.bfloat16:  # round to odd, so that the second rounding cannot be a tie
        near = values.float()
        down = near.view(torch.int32) - (near.double().abs() > values.abs()).int()
        return torch.where(near.double() == values, near.view(torch.int32), down | 1).view(torch.float32).to(dtype)
    return values.to(dtype)


def same(got, wanted, dtype):
    if dtype == torch.float64:
        return torch.allclose(got, wanted, rtol=1e-12, atol=1e-12)
    return torch.equal(got.double(), rounded(wanted, dtype).double())


def made(dtype, *shape):
    return rounded(torch.randn(*shape, dtype=torch.float64) * 3 + 1, dtype)
