# SPDX-License-Identifier: Apache-2.0
"""The references in originals_pytorch.c against float64 formulas in torch, for every layer-norm kernel name of the
PyTorch wheels in tests/data. Equal after one rounding for every type but f64."""
import ctypes
import re

import pytest
import torch
from originals import made, names, run, same

SYMBOLS = names("torch-*.txt")
OURS = [s for s in SYMBOLS if "_20_layer_norm_kernel_cu_" in s]
TYPES = {"IN3c104HalfEf": torch.float16, "IN3c108BFloat16Ef": torch.bfloat16, "Iff": torch.float32, "Idd": torch.float64}
COLS, EPS = 37, 1e-5


@pytest.mark.parametrize("symbol", OURS, ids=range(len(OURS)))
def test_reference(symbol):
    torch.manual_seed(1)
    dtype = next(t for k, t in TYPES.items() if k in symbol)
    acc = torch.float64 if dtype == torch.float64 else torch.float32
    template = "KernelTemplate" in symbol
    rms = bool(re.search("Lb1EEEv", symbol)) and (not template or symbol.count("Lb") == 3)
    grid_y = 3 if "Lj32ELj1ELj32E" in symbol else 1
    rows = 150 if grid_y == 3 else 5
    leading = [ctypes.c_int64(rows)] * (len(re.search("EEv(l*)", symbol)[1]) - 1)  # kernels that take int64 rows
    cols, none = ctypes.c_int64(COLS), ctypes.c_void_p(None)
    x, dy, gamma, beta = made(dtype, rows, COLS), made(dtype, rows, COLS), made(dtype, COLS), made(dtype, COLS)
    eps = (ctypes.c_double if acc == torch.float64 else ctypes.c_float)(EPS)
    mean = torch.zeros(rows, dtype=torch.float64) if rms else x.double().mean(1)
    rstd = ((x.double() - mean[:, None]).square().mean(1) + eps.value).rsqrt()
    got_mean, got_rstd = torch.full((2, rows), -7.0, dtype=acc)
    wanted = []
    if "RowwiseMoments" in symbol or "vectorized_layer_norm" in symbol:
        y = torch.zeros_like(x)
        mean_or_none = none if rms else got_mean
        if "Moments" in symbol:
            assert run(symbol, (rows, 1, 1), *leading, cols, eps, x, mean_or_none, got_rstd) == 0
        else:
            args = (ctypes.c_int(COLS), eps, x, gamma, beta, mean_or_none, got_rstd, y)
            assert run(symbol, (rows, 1, 1), *args) == 0
            xhat = (x.double() - mean[:, None]) * rstd[:, None]
            wanted = [(y, xhat * gamma.double() + (0 if rms else beta.double()))]
        assert same(got_rstd, rstd, acc) and (rms or same(got_mean, mean, acc))
    else:
        stats = torch.stack([mean, rstd]).to(acc)
        m, r = stats[1 if rms else 0], stats[1]
        xhat = (x.double() - (0 if rms else m.double()[:, None])) * r.double()[:, None]
        if "LayerNormForward" in symbol:
            y = torch.zeros_like(x)
            assert run(symbol, (rows, 1, 1), *leading, cols, x, m, r, gamma, none, y) == 0
            wanted = [(y, xhat * gamma.double())]
        elif "grad_input" in symbol:
            dx = torch.zeros_like(x)
            assert run(symbol, (rows, 1, 1), dy, x, m, r, gamma, dx, ctypes.c_int(COLS)) == 0
            g = dy.double() * gamma.double()
            s1 = 0 if rms else g.sum(1, keepdim=True)
            s2 = (g * xhat).sum(1, keepdim=True)
            wanted = [(dx, (COLS * g - xhat * s2 - s1) * (r.double()[:, None] / COLS))]
        else:
            dgamma, dbeta = torch.full((2, grid_y, COLS), -7.0).to(dtype)
            assert run(symbol, (1, grid_y, 1), ctypes.c_int64(rows), cols, dy, x, m, r, dgamma, dbeta) == 0
            block = torch.arange(rows) // 32 % grid_y  # which block of the original sums a row
            for y in range(grid_y):
                some = block == y if grid_y > 1 else slice(None)
                wanted.append((dgamma[y], (dy.double() * xhat)[some].sum(0)))
                wanted.append((dbeta[y], torch.full((COLS,), -7.0).double() if rms else dy.double()[some].sum(0)))
    for got, value in wanted:
        assert same(got, value, dtype)


def test_others_are_unknown():
    assert len(OURS) > 400
    for symbol in set(SYMBOLS) - set(OURS):
        assert run(symbol, (1, 1, 1)) == -1
    for change in [("_20_layer_norm", "_20_group_norm"), ("EEEv", "EEEvf"), ("IffL", "IfdL"), ("at6native", "at6notive")]:
        assert run(next(s for s in OURS if change[0] in s).replace(*change), (1, 1, 1)) == -1


def test_every_bfloat16_and_half_survives():
    symbol = next(s for s in OURS if "26LayerNormForwardCUDAKernelIN3c104HalfEfEE" in s)
    for dtype, name in ((torch.float16, "N3c104HalfEf"), (torch.bfloat16, "N3c108BFloat16Ef")):
        values = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).view(dtype)
        zero, one, y = torch.zeros(1), torch.ones(1), torch.zeros_like(values)
        args = (ctypes.c_int64(65536), values, zero, one, ctypes.c_void_p(None), ctypes.c_void_p(None), y)
        assert run(symbol.replace("N3c104HalfEf", name), (1, 1, 1), *args) == 0
        assert torch.equal(y.nan_to_num(nan=7), values.nan_to_num(nan=7))
