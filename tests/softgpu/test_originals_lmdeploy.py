# SPDX-License-Identifier: Apache-2.0
"""The references in originals_lmdeploy.c against float64 formulas in torch, for each name that they know. Equal, rounding
included."""
import ctypes

import pytest
import torch
from originals import made, names, rounded, run, same

KNOWN = [s for s in names("lmdeploy-*.txt") if "6kernel7RMSNormI" in s or "25BiasResidualRMSNormKernelI" in s]
ROWS, COLS, EPS = 12, 37, 1e-3
i32, f32 = ctypes.c_int, ctypes.c_float
LAST = i32(COLS), i32(ROWS), f32(EPS), f32(1 / COLS)


def wanted(symbol, x, weight, dtype):
    xhat = x.double() / (x.double().square().mean(1, keepdim=True) + f32(EPS).value).sqrt()
    return xhat * (1 + weight.float()).double() if "Lb1E" in symbol else rounded(xhat, dtype).double() * weight.double()


@pytest.mark.parametrize("has_bias", (False, True))
@pytest.mark.parametrize("symbol", KNOWN, ids=range(len(KNOWN)))
def test_reference(symbol, has_bias):
    torch.manual_seed(1)
    dtype = torch.float16 if "6__half" in symbol else torch.bfloat16
    x, other, weight, bias = made(dtype, ROWS, COLS), made(dtype, ROWS, COLS), made(dtype, COLS), made(dtype, COLS)
    if "BiasResidual" in symbol:
        total = rounded(x.double() + other.double(), dtype)
        total = rounded(total.double() + bias.double(), dtype) if has_bias else total
        assert run(symbol, (ROWS, 1, 1), other, x, weight, bias if has_bias else ctypes.c_void_p(), *LAST) == 0
        assert torch.equal(other, total) and same(x, wanted(symbol, total, weight, dtype), dtype)
    else:
        assert run(symbol, (ROWS, 1, 1), other, i32(COLS), x, i32(COLS), weight, *LAST) == 0
        assert same(other, wanted(symbol, x, weight, dtype), dtype)


def test_others_are_unknown():
    assert len(KNOWN) == 8
    for symbol in set(names("lmdeploy-*.txt")) - set(KNOWN):
        assert run(symbol, (1, 1, 1)) == -1
    for change in [("9turbomind", "9turbomint"), ("iiff", "iifff"), ("6__half", "6__helf"), ("Li512E", "Li256E")]:
        assert run(next(s for s in KNOWN if change[0] in s).replace(*change), (1, 1, 1)) == -1
