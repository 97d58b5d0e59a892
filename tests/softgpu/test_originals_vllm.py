# SPDX-License-Identifier: Apache-2.0
"""The references in originals_vllm.c against float64 formulas in torch, for every name of vLLM's RMS norm and fused add
in tests/data, and for the forms of releases between those. Equal, rounding included."""
import ctypes
import re

import pytest
import torch
from originals import made, names, rounded, run, same

KERNEL = re.compile(r"_ZN4vllm(15rms_norm_kernel|25fused_add_rms_norm_kernel)I")
SYMBOLS = names("vllm-*.txt")
OURS = [s for s in SYMBOLS if KERNEL.match(s)]
BETWEEN = [
    "_ZN4vllm15rms_norm_kernelIN3c104HalfEEEvPT_PKS3_lS6_fii",  # 0.10
    "_ZN4vllm15rms_norm_kernelIN3c104HalfELi8ELi2ELb1EEEvPT_PKS3_lllllS6_fii",  # 0.24
]
TYPES = {"If": torch.float32, "IN3c104HalfE": torch.float16, "IN3c108BFloat16E": torch.bfloat16}
ROWS, COLS, EPS = 12, 37, 1e-3
i64, i32, f32 = ctypes.c_int64, ctypes.c_int, ctypes.c_float


def wanted(symbol, x, gamma, dtype):
    """y of rows x; gamma has a row for each of x's, or one for all."""
    xhat = x / (x.square().mean(1, keepdim=True) + f32(EPS).value).sqrt()
    if "Lb0E" in symbol:
        return xhat
    return (xhat if "Lb1E" in symbol else rounded(xhat, dtype).double()) * gamma.double()


@pytest.mark.parametrize("symbol", OURS + BETWEEN, ids=range(len(OURS + BETWEEN)))
def test_reference(symbol):
    torch.manual_seed(1)
    dtype = next(t for name, t in TYPES.items() if f"kernel{name}" in symbol)
    if "fused_add" in symbol:
        strided = symbol.endswith("fiil")
        x, residual, gamma = made(dtype, ROWS, COLS + 5), made(dtype, ROWS, COLS + 3 * strided), made(dtype, COLS)
        y, total = x.clone(), residual.clone()
        stride = [i64(COLS + 3)] * strided
        assert run(symbol, (ROWS, 1, 1), y, i64(COLS + 5), total, gamma, f32(EPS), i32(ROWS), i32(COLS), *stride) == 0
        assert torch.equal(y[:, COLS:], x[:, COLS:]) and torch.equal(total[:, COLS:], residual[:, COLS:])
        s = rounded(x[:, :COLS].double() + residual[:, :COLS].double(), dtype)
        assert torch.equal(total[:, :COLS], s)
        assert same(y[:, :COLS], wanted(symbol, s.double(), gamma, dtype), dtype)
        return
    rank = int(found[1]) if (found := re.search(r"Li\d+ELi(\d)E", symbol)) else 2
    form = re.search(r"PKS\d_(l+)S\d_(l?)fii$", symbol)
    x = made(dtype, *{2: (ROWS,), 3: (3, 4), 4: (2, 2, 3)}[rank], COLS + 5)
    strides, sizes = x.stride()[-2::-1], x.shape[-2:0:-1]
    numbers = [*strides, *[0] * (3 - len(strides)), *sizes, *[0] * (2 - len(sizes))] if len(form[1]) > 1 else strides
    gamma, y = made(dtype, x.shape[0] if form[2] else 1, COLS), made(dtype, ROWS, COLS)
    given = gamma if "Lb0E" not in symbol else ctypes.c_void_p(None)
    stride = [i64(COLS)] * len(form[2])
    assert run(symbol, (ROWS, 1, 1), y, x, *map(i64, numbers), given, *stride, f32(EPS), i32(ROWS), i32(COLS)) == 0
    gamma = gamma.repeat_interleave(ROWS // gamma.shape[0], 0)
    assert same(y, wanted(symbol, x[..., :COLS].reshape(ROWS, COLS).double(), gamma, dtype), dtype)


def test_others_are_unknown():
    assert len(OURS) == (45 + 6) + (90 + 12) + 12  # 0.33 has the rms names of 0.25
    for symbol in set(SYMBOLS) - set(OURS):
        assert run(symbol, (1, 1, 1)) == -1
    for change in [("4vllm", "5avllm"), ("lfii", "lfiii"), ("ELi2E", "ELi5E"), ("If", "Id"), ("fiil", "fii_")]:
        assert run(next(s for s in OURS if change[0] in s).replace(*change), (1, 1, 1)) == -1
