# SPDX-License-Identifier: Apache-2.0
"""The references in originals_lmdeploy.c against float64 formulas in torch, for each name that they know. RMS norm is
equal, rounding included; layer norm takes the variance in one pass in f32, and is wrong by what that costs at most."""
import ctypes
import re

import pytest
import torch
from originals import made, names, norm, one_pass_spread, rounded, run, same

RMS = [s for s in names("lmdeploy-*.txt") if "6kernel7RMSNormI" in s or "25BiasResidualRMSNormKernelI" in s]
LAYER = [s for s in names("lmdeploy-*.txt") if "6kernel9LayerNormI" in s or "21ResidualBiasLayerNormI" in s]
ROWS, COLS, EPS = 12, 37, 1e-3
i32, f32 = ctypes.c_int, ctypes.c_float
LAST = i32(COLS), i32(ROWS), f32(EPS), f32(1 / COLS)
NULL = ctypes.c_void_p()


def wanted(symbol, x, weight, dtype):
    xhat = x.double() / (x.double().square().mean(1, keepdim=True) + f32(EPS).value).sqrt()
    return xhat * (1 + weight.float()).double() if "Lb1E" in symbol else rounded(xhat, dtype).double() * weight.double()


def inputs(symbol):
    """dtype, and x, another of its shape, weight, beta, bias."""
    torch.manual_seed(1)
    dtype = torch.float16 if "6__half" in symbol else torch.bfloat16
    return dtype, *(made(dtype, *shape) for shape in ((ROWS, COLS), (ROWS, COLS), (COLS,), (COLS,), (COLS,)))


def summed(x, residual, bias, dtype):
    total = rounded(x.double() + residual.double(), dtype)
    return total if bias is None else rounded(total.double() + bias.double(), dtype)


@pytest.mark.parametrize("has_bias", (False, True))
@pytest.mark.parametrize("symbol", RMS, ids=range(len(RMS)))
def test_rms_norm(symbol, has_bias):
    dtype, x, other, weight, _, bias = inputs(symbol)
    if "BiasResidual" in symbol:
        total = summed(x, other, bias if has_bias else None, dtype)
        assert run(symbol, (ROWS, 1, 1), other, x, weight, bias if has_bias else NULL, *LAST) == 0
        assert torch.equal(other, total) and same(x, wanted(symbol, total, weight, dtype), dtype)
    else:
        assert run(symbol, (ROWS, 1, 1), other, i32(COLS), x, i32(COLS), weight, *LAST) == 0
        assert same(other, wanted(symbol, x, weight, dtype), dtype)


@pytest.mark.parametrize("offset", (0, 300))
@pytest.mark.parametrize("symbol", LAYER, ids=range(len(LAYER)))
def test_layer_norm(symbol, offset):
    """Without one of beta and bias in its name, a kernel leaves that pointer alone."""
    dtype, x, other, weight, beta, bias = inputs(symbol)
    x = rounded(x.double() + offset, dtype)
    flags = [flag == "1" for flag in re.findall("Lb([01])E", symbol)]
    if len(flags) == 2:
        s, y = summed(x, other, bias if flags[1] else None, dtype), x
        assert run(symbol, (ROWS, 1, 1), x, other, weight, beta, bias, *LAST) == 0
        assert torch.equal(other, s)
    else:
        s, y = x, other
        assert run(symbol, (ROWS, 1, 1), y, i32(COLS), x, i32(COLS), weight, beta, *LAST) == 0
    xhat, _, _ = norm(s, False, f32(EPS).value)
    exact = xhat * weight.double() + (beta.double() if flags[0] else 0)
    error = (y.double() - exact).abs()
    unit = torch.finfo(dtype).eps / 2 * exact.abs() + 2.0**-24
    most = weight.double().abs() * one_pass_spread(s, f32(EPS).value)
    assert (error <= 1.001 * (unit + most)).all()


def test_a_variance_is_not_negative():
    """Of equal elements E[x^2] - E[x]^2 is what rounding left: for some it is below 0, and counts as 0."""
    (symbol,) = (s for s in LAYER if "9LayerNormI6__halffLi512ELi8ELb0E" in s)
    x = inputs(symbol)[1][:, :1].repeat(1, COLS)
    y, weight = torch.zeros_like(x), torch.ones(COLS, dtype=torch.float16)
    last = i32(COLS), i32(ROWS), f32(1e-12), f32(1 / COLS)
    assert run(symbol, (ROWS, 1, 1), y, i32(COLS), x, i32(COLS), weight, NULL, *last) == 0
    assert not y.isnan().any()


def test_others_are_unknown():
    assert len(RMS) == 8 and len(LAYER) == 12
    for symbol in set(names("lmdeploy-*.txt")) - set(RMS) - set(LAYER):
        assert run(symbol, (1, 1, 1)) == -1
    changes = [("9turbomind", "9turbomint"), ("iiff", "iifff"), ("6__half", "6__helf"), ("Li512E", "Li256E"),
               ("ELb0E", "ELb2E"), ("ILb0E", "ILb2E"), ("ELb0ELb0E", "ELb0E")]  # fmt: skip
    for old, new in changes:
        assert run(next(s for s in RMS + LAYER if old in s).replace(old, new), (1, 1, 1)) == -1
