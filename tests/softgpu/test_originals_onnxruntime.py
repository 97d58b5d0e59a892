# SPDX-License-Identifier: Apache-2.0
"""The references in originals_onnxruntime.c against float64 formulas in torch, for every name of cuApplyLayerNorm and
SkipLayerNormKernel[Small] in ONNX Runtime's wheel. cuApplyLayerNorm is equal after one rounding for every type but f64;
the others take the variance in one pass in f32, and must be wrong by what that costs and by no more."""
import ctypes
import itertools
import re

import pytest
import torch
from originals import made, names, norm, one_pass_spread, rounded, run, same

SYMBOLS = names("onnxruntime-gpu-*.txt")
APPLY = [s for s in SYMBOLS if "16cuApplyLayerNormI" in s]
SKIP = [s for s in SYMBOLS if re.search("19SkipLayerNormKernelI|24SkipLayerNormKernelSmallI", s)]
HALF, BFLOAT, FLOAT, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
TYPES = {  # of x, the statistics and y
    "fffL": (FLOAT, FLOAT, FLOAT), "6__halffS2_L": (HALF, FLOAT, HALF), "6__halfffL": (HALF, FLOAT, FLOAT),
    "NS_8BFloat16EfS2_L": (BFLOAT, FLOAT, BFLOAT), "ff6__halfL": (FLOAT, FLOAT, HALF),
    "dddL": (DOUBLE, DOUBLE, DOUBLE), "dfdL": (DOUBLE, FLOAT, DOUBLE),
    "fL": (FLOAT, FLOAT, FLOAT), "6__halfL": (HALF, FLOAT, HALF), "13__nv_bfloat16L": (BFLOAT, FLOAT, BFLOAT),
}  # fmt: skip
ROWS, COLS, NONE = 6, 37, ctypes.c_void_p(None)
EPS = {FLOAT: ctypes.c_float(1e-5), DOUBLE: ctypes.c_double(1e-5)}


def types(symbol):
    return next(found for text, found in TYPES.items() if "I" + text in symbol)


def is_rms(symbol):
    return "Lb1EEEv" in symbol


def filled(*shape, dtype):
    """What a kernel must write over, or leave."""
    return torch.full(shape, -7.0, dtype=DOUBLE).to(dtype)


@pytest.mark.parametrize("symbol", APPLY)
@pytest.mark.parametrize("broadcast, rows", [(0, [0] * 6), (1, range(6)), (2, [0, 0, 1, 1, 2, 2]), (-3, [0, 1, 2] * 2)])
def test_apply(symbol, broadcast, rows):
    """rows: the row of gamma and beta that each row takes."""
    torch.manual_seed(2)
    x_type, acc, y_type = types(symbol)
    for affine, stats, adds in itertools.product(range(3), range(2), range(3)):
        x, skip, bias = made(x_type, ROWS, COLS), made(x_type, ROWS, COLS), made(x_type, COLS)
        gamma, beta = made(y_type, 6, COLS), made(y_type, 6, COLS)
        y, mean, rstd = filled(ROWS, COLS, dtype=y_type), filled(ROWS, dtype=acc), filled(ROWS, dtype=acc)
        total = filled(ROWS, COLS, dtype=x_type)
        args = [y, mean if stats else NONE, rstd if stats else NONE, x, ctypes.c_int(ROWS), ctypes.c_int(COLS),
                EPS[acc], gamma if affine else NONE, beta if affine > 1 else NONE, ctypes.c_int(broadcast),
                skip if adds else NONE, bias if adds > 1 else NONE, total if adds > 1 else NONE]  # fmt: skip
        assert run(symbol, (1, ROWS, 1), *args) == 0
        s = x.to(acc) + bias.to(acc) if adds > 1 else x.to(acc)
        s = s + skip.to(acc) if adds else s
        wanted, wanted_mean, wanted_rstd = norm(s, is_rms(symbol), EPS[acc].value)
        wanted = wanted * gamma.to(acc).double()[rows] if affine else wanted
        wanted = wanted + beta.to(acc).double()[rows] if affine > 1 and not is_rms(symbol) else wanted
        assert same(y, wanted, y_type)
        assert same(mean, wanted_mean[:, 0] if stats else filled(ROWS, dtype=DOUBLE), acc)
        assert same(rstd, wanted_rstd[:, 0] if stats else filled(ROWS, dtype=DOUBLE), acc)
        assert torch.equal(total, s.to(x_type) if adds > 1 else filled(ROWS, COLS, dtype=x_type))


def skip_errors(symbol, offset, skip_rows):
    """Runs one launch: (error of y, how large it may be) in units of y's rounding, the worst elements of each."""
    dtype, _, _ = types(symbol)
    x, skip = made(dtype, ROWS, COLS), made(dtype, skip_rows, COLS)
    x = rounded(x.double() + offset, dtype)
    bias, gamma, beta = made(dtype, COLS), made(dtype, COLS), made(dtype, COLS)
    y, total = filled(ROWS, COLS, dtype=dtype), filled(ROWS, COLS, dtype=dtype)
    args = [y, total, x, skip, bias, gamma, beta, EPS[FLOAT], ctypes.c_int(COLS), ctypes.c_int(skip_rows * COLS)]
    assert run(symbol, (ROWS, 1, 1), *args) == 0
    s = (x + bias) + skip.repeat(ROWS // skip_rows, 1)  # torch rounds each sum to the type
    assert torch.equal(total, s)
    xhat, _, _ = norm(s, is_rms(symbol), EPS[FLOAT].value)
    exact = xhat * gamma.double() + (0 if is_rms(symbol) else beta.double())
    spread = one_pass_spread(s, EPS[FLOAT].value, is_rms(symbol))
    unit = torch.finfo(dtype).eps / 2 * exact.abs() + 2.0**-24
    return ((y.double() - exact).abs() / unit).max(), (gamma.double().abs() * spread / unit + 1.001).max()


@pytest.mark.parametrize("symbol", SKIP)
def test_skip(symbol):
    torch.manual_seed(3)
    for skip_rows in (ROWS, 2, 1):
        error, most = skip_errors(symbol, 0, skip_rows)
        assert error <= most
    error, most = skip_errors(symbol, 300, ROWS)
    assert error <= most
    if "If" in symbol and not is_rms(symbol):
        assert error > 100  # in two passes it would be about 1


def test_other_names_are_unknown():
    assert len(APPLY) == 13 and len(SKIP) > 70
    for symbol in set(SYMBOLS) - set(APPLY) - set(SKIP):
        assert run(symbol, (1, 1, 1)) == -1
    changes = {"cuApply": "cuApplied", "EEEv": "EEEvi", "Lb0": "Lb2", "fii": "fi", "onnxruntime": "onnxsuntime"}
    for old, new in changes.items():
        assert run(next(s for s in APPLY + SKIP if old in s).replace(old, new), (1, 1, 1)) == -1
