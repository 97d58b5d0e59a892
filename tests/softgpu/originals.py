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


def norm(x, rms, eps):
    """(xhat, mean, rstd) of each row in float64"""
    mean = x.double().mean(1, keepdim=True)
    centred = x.double() - (0 if rms else mean)
    rstd = (centred.square().mean(1, keepdim=True) + eps).rsqrt()
    return centred * rstd, mean, rstd


def one_pass_spread(x, eps, rms=False):
    """How far from the exact xhat it may be where the variance is E[x^2] - E[x]^2 in f32, in rows of at most 256
    columns: 8 additions in pairs, a division, and for each square a product."""
    u, squares = 2.0**-24, x.double().square().mean(1, keepdim=True)
    xhat, mean, rstd = norm(x, rms, eps)
    mean_error = (0 if rms else 9) * u * x.double().abs().mean(1, keepdim=True)
    variance_error = 10 * u * squares + mean_error * (2 * mean.abs() + mean_error) + u * squares
    widest = variance_error * rstd.square()  # relative, of variance + eps; rstd = (1 + widest)^-1/2
    relative = torch.where(widest < 1, (1 - widest).clamp(min=1e-30).rsqrt() - 1, torch.inf) + 3 * u
    return xhat.abs() * relative + mean_error * rstd * (1 + relative)
