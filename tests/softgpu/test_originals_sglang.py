# SPDX-License-Identifier: Apache-2.0
"""The references in originals_sglang.c against float64 formulas in torch, for every name in tests/data. Equal, rounding
included."""
import ctypes

import pytest
import torch
from originals import made, names, run, same

SYMBOLS = names("sglang-kernel-*.txt")
TYPES = {"E6__half": torch.float16, "E13__nv_bfloat16": torch.bfloat16, "EfEEv": torch.float32}
ROWS, COLS, EPS = 12, 37, 1e-3
u32, f32 = ctypes.c_uint, ctypes.c_float


def wanted(x, gamma):
    return x / (x.square().mean(1, keepdim=True) + f32(EPS).value).sqrt() * gamma


@pytest.mark.parametrize("gamma_add", [0.0, 1.0, None])  # None: without a weight
@pytest.mark.parametrize("symbol", SYMBOLS, ids=range(len(SYMBOLS)))
def test_reference(symbol, gamma_add):
    torch.manual_seed(1)
    dtype = next(t for name, t in TYPES.items() if name in symbol)
    x, other, weight = made(dtype, ROWS, COLS + 5), made(dtype, ROWS, COLS + 3), made(dtype, COLS)
    before = x.clone(), other.clone()
    numbers = u32(COLS), u32(COLS + 5), u32(COLS + 3), f32(1 if gamma_add is None else gamma_add), f32(EPS)
    given = ctypes.c_void_p(None) if gamma_add is None else weight
    gamma = 1 if gamma_add is None else (gamma_add + weight.float()).double()
    narrow = x[:, :COLS].double()
    if "FusedAdd" in symbol:
        assert run(symbol, (ROWS, 1, 1), x, other, given, *numbers) == 0
        total = (narrow + before[1][:, :COLS].double()).float().double()
        assert same(other[:, :COLS], total, dtype) and same(x[:, :COLS], wanted(total, gamma), dtype)
    else:
        assert run(symbol, (ROWS, 1, 1), x, given, other, *numbers) == 0
        assert same(other[:, :COLS], wanted(narrow, gamma), dtype) and torch.equal(x, before[0])
    assert torch.equal(x[:, COLS:], before[0][:, COLS:]) and torch.equal(other[:, COLS:], before[1][:, COLS:])


def test_others_are_unknown():
    assert len(SYMBOLS) == 25
    for change in [("10flashinfer", "10flashinfrr"), ("jjjff", "jjjfff"), ("6__half", "6__helf"), ("Lj1E", "Li1E")]:
        assert run(next(s for s in SYMBOLS if change[0] in s).replace(*change), (1, 1, 1)) == -1
