# SPDX-License-Identifier: Apache-2.0
"""The references in originals_ctranslate2.c against float64 formulas in torch, for every name of CTranslate2's wheel. RMS
norm is equal after one rounding; layer norm takes the variance in one pass in f32, and must be wrong by what that costs
and by no more."""
import ctypes

import pytest
import torch
from originals import made, names, norm, one_pass_spread, rounded, run, same

SYMBOLS = names("ctranslate2-*.txt")
TYPES = {"If": torch.float32, "I6__half": torch.float16, "I13__nv_bfloat16": torch.bfloat16}
ROWS, COLS, NONE, EPS = 6, 37, ctypes.c_void_p(None), ctypes.c_float(0.01)


def found(kernel):
    return [(s, next(t for text, t in TYPES.items() if "Kernel" + text in s or "kernel" + text in s))
            for s in SYMBOLS if kernel in s]  # fmt: skip


LAYER_NORM, RMS_NORM = found("26LayerNormForwardCUDAKernelI"), found("15rms_norm_kernelI")


@pytest.mark.parametrize("symbol, dtype", LAYER_NORM)
@pytest.mark.parametrize("offset", (0, 100, 3000))
@pytest.mark.parametrize("has_gamma, has_beta", ((True, True), (True, False), (False, True), (False, False)))
def test_layer_norm(symbol, dtype, offset, has_gamma, has_beta):
    torch.manual_seed(4)
    x, y = rounded(made(dtype, ROWS, COLS).double() + offset, dtype), torch.zeros(ROWS, COLS).to(dtype)
    gamma, beta = made(dtype, COLS), made(dtype, COLS)
    args = [ctypes.c_uint(COLS), EPS, x, gamma if has_gamma else NONE, beta if has_beta else NONE, y]
    assert run(symbol, (ROWS, 1, 1), *args, block=(512, 1, 1)) == 0
    scale = gamma.double() if has_gamma else torch.ones(COLS).double()
    exact = norm(x, False, EPS.value)[0] * scale + (beta.double() if has_beta else 0)
    error = (y.double() - exact).abs()
    spread = one_pass_spread(x, EPS.value) * scale.abs()
    most = spread + torch.finfo(dtype).eps / 2 * (exact.abs() + spread) + 2.0**-25
    assert (error <= most).all()
    if dtype == torch.float32 and offset == 3000:
        assert error.max() > 1000 * 2.0**-24  # two passes would stay below 100


@pytest.mark.parametrize("symbol, dtype", LAYER_NORM)
def test_rows_without_variance(symbol, dtype):
    """A variance below 0 counts as 0, so that y stays finite."""
    x, y = torch.full((ROWS, COLS), 1000.1).to(dtype), torch.full((ROWS, COLS), torch.nan).to(dtype)
    assert run(symbol, (ROWS, 1, 1), ctypes.c_uint(COLS), EPS, x, NONE, NONE, y, block=(512, 1, 1)) == 0
    assert y.isfinite().all()


@pytest.mark.parametrize("symbol, dtype", RMS_NORM)
@pytest.mark.parametrize("plus_one", (0, 1))
def test_rms_norm(symbol, dtype, plus_one):
    torch.manual_seed(5)
    x, y, gamma = made(dtype, ROWS, COLS), torch.zeros(ROWS, COLS).to(dtype), made(dtype, COLS)
    args = [x, gamma, y, ctypes.c_uint(COLS), EPS, ctypes.c_bool(plus_one)]
    assert run(symbol, (ROWS, 1, 1), *args, block=(512, 1, 1)) == 0
    scale = (gamma.float() + plus_one).double()  # the sum is rounded to float
    assert same(y, norm(x, True, EPS.value)[0] * scale, dtype)


def test_other_names_are_unknown():
    assert len(LAYER_NORM) == len(RMS_NORM) == 3
    for symbol in set(SYMBOLS) - {s for s, _ in LAYER_NORM + RMS_NORM}:
        assert run(symbol, (1, 1, 1)) == -1
    for old, new in (("LayerNormForward", "LayerNormBackward"), ("jEEv", "lEEv"), ("jfb", "jfbi"), ("6__half", "6__hald")):
        assert run(next(s for s, _ in LAYER_NORM + RMS_NORM if old in s).replace(old, new), (1, 1, 1)) == -1
