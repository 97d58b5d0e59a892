# SPDX-License-Identifier: Apache-2.0
"""The references in originals_ggml.c against float64 formulas in torch, for every name of ctransformers' and gpt4all's
wheels, and for those of 2025. RMS norm is equal after one rounding; layer norm takes the variance in one pass in f32, and must be wrong by what
that costs and by no more."""
import ctypes

import pytest
import torch
from originals import made, names, norm, one_pass_spread, run, same

SYMBOLS = names("ctransformers-*.txt") + names("gpt4all-*.txt")
NORM, RMS_NORM = ([s for s in SYMBOLS if kernel in s] for kernel in ("_Z8norm_f32", "_Z12rms_norm_f32"))
STRIDED = [s for s in names("ggml-2025.txt") if "l2_norm" not in s]
ROWS, COLS, EPS = 6, 37, 0.01


def run_norm(symbol, x, rows_per_block):
    """(y, the eps that it was computed with)"""
    y, eps = torch.zeros(ROWS, COLS), [ctypes.c_float(EPS)] if symbol.endswith("if") else []
    grid, block = (ROWS // rows_per_block, 1, 1), (32, rows_per_block, 1)
    assert run(symbol, grid, x, y, ctypes.c_int(COLS), *eps, block=block) == 0
    return y.double(), ctypes.c_float(EPS if eps else 1e-5).value


@pytest.mark.parametrize("symbol", NORM)
@pytest.mark.parametrize("offset", (0, 3000))
@pytest.mark.parametrize("scale", (1, 1e-3))
@pytest.mark.parametrize("rows_per_block", (1, 3))
def test_norm(symbol, offset, scale, rows_per_block):
    torch.manual_seed(6)
    x = ((made(torch.float64, ROWS, COLS) + offset) * scale).float()
    y, eps = run_norm(symbol, x, rows_per_block)
    exact, spread = norm(x, False, eps)[0], one_pass_spread(x, eps)
    assert ((y - exact).abs() <= spread + 2.0**-24 * (exact.abs() + spread) + 2.0**-149).all()
    if offset and scale == 1:
        assert (y - exact).abs().max() > 1000 * 2.0**-24  # two passes would stay below 100


@pytest.mark.parametrize("symbol", RMS_NORM)
@pytest.mark.parametrize("rows_per_block", (1, 3))
def test_rms_norm(symbol, rows_per_block):
    torch.manual_seed(7)
    x = made(torch.float32, ROWS, COLS)
    y, eps = run_norm(symbol, x, rows_per_block)
    assert same(y.float(), norm(x, True, eps)[0], torch.float32)


@pytest.mark.parametrize("symbol", STRIDED)
def test_rows_in_channels_and_samples(symbol):
    torch.manual_seed(8)
    rows, channels, samples, rms = 3, 2, 2, "rms_norm" in symbol
    store = made(torch.float32, samples, channels + 1, rows + 2, COLS + 5)
    x, y = store[:, :channels, :rows, :COLS], torch.zeros(samples, channels, rows, COLS)
    mul = made(torch.float32, 1, channels, 1, COLS + 2)[..., :COLS]  # begins again with each row and sample
    arguments = [x, y, ctypes.c_int(COLS), *map(ctypes.c_int64, x.stride()[2::-1]), ctypes.c_float(EPS)]
    more = [mul, *map(ctypes.c_int64, mul.stride()[2::-1]), *map(ctypes.c_int, mul.shape[::-1])] * ("ELb" in symbol)
    assert run(symbol, (rows, channels, samples), *arguments, *more, block=(32, 1, 1)) == 0
    eps = ctypes.c_float(EPS).value
    wanted = norm(x.reshape(-1, COLS), rms, eps)[0].view(y.shape) * (mul.double() if "ELb1E" in symbol else 1)
    if rms:
        assert same(y, wanted, torch.float32)
    else:
        spread = one_pass_spread(x.reshape(-1, COLS), eps).view(samples, channels, rows, -1)
        assert ((y.double() - wanted).abs() <= spread + 2.0**-24 * (wanted.abs() + spread) + 2.0**-149).all()


def test_other_names_are_unknown():
    assert len(NORM) == len(RMS_NORM) == 3
    assert len(STRIDED) == 8
    for symbol in set(SYMBOLS + names("ggml-2025.txt")) - {*NORM, *RMS_NORM, *STRIDED}:
        assert run(symbol, (1, 1, 1)) == -1
    for old, new in (("ILi32E", "ILi64E"), ("if", "ii"), ("_Z8", "_ZL8"), ("PKfPfi", "PfPfi")):
        assert run(next(s for s in NORM + RMS_NORM if old in s).replace(old, new), (1, 1, 1)) == -1
