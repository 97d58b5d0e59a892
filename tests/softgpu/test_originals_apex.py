# SPDX-License-Identifier: Apache-2.0
"""The references in originals_apex.c against float64 formulas in torch, for every name in tests/data. Equal after the
roundings of apex for every type but f64."""
import ctypes
import re

import pytest
import torch
from originals import made, names, rounded, run, same

SYMBOLS = names("apex-*.txt")
TYPES = {"f": torch.float32, "d": torch.float64, "N3c104HalfE": torch.float16, "N3c108BFloat16E": torch.bfloat16}
ROWS, COLS, EPS, PARTS = 70, 37, 1e-3, 16
NONE = ctypes.c_void_p(None)
i32 = ctypes.c_int


def types(symbol):
    """Types of x, of the statistics, and of gamma; the first is float32 where the kernel has no x."""
    word = "(f|d|N3c104HalfE|N3c108BFloat16E|S1_)"
    found = list(re.search(rf"(?:Norm|Gamma|Beta|Input)I{word}{word}(?:{word})?(?:Lb|E)", symbol).groups())
    if "cuComputeGradGammaBeta" in symbol:
        found = ["f", *found[:2]]
    return [TYPES[found[0] if name == "S1_" else name] for name in found]


def eps(acc):
    return (ctypes.c_double if acc == torch.float64 else ctypes.c_float)(EPS)


def statistics(x, rms, acc):
    mean = torch.zeros(len(x), dtype=torch.float64) if rms else x.double().mean(1)
    rstd = ((x.double() - mean[:, None]).square().mean(1) + eps(acc).value).rsqrt()
    return mean, rstd


def near(got, wanted, dtype):
    """Sums of f64 may end otherwise in their last digits."""
    if dtype == torch.float64:
        return torch.allclose(got, wanted, 1e-12, 1e-12 * wanted.abs().max().item())
    return same(got, wanted, dtype)


def clamped(gamma, acc):
    least = rounded(torch.tensor([eps(acc).value], dtype=torch.float64), gamma.dtype).double()
    gamma = gamma.double()
    return torch.where(gamma.abs() >= least, gamma, torch.where(gamma >= 0, least, -least))


@pytest.mark.parametrize("affine", ["gamma and beta", "gamma", "none"])
@pytest.mark.parametrize("symbol", [s for s in SYMBOLS if "cuApply" in s], ids=range(18))
def test_forward(symbol, affine):
    torch.manual_seed(1)
    t, u, v = types(symbol)
    rms = "RMS" in symbol
    x, gamma, beta = made(t, ROWS, COLS), made(v, COLS), made(v, COLS)
    y, mean, rstd = torch.zeros(ROWS, COLS, dtype=v), torch.zeros(ROWS, dtype=u), torch.zeros(ROWS, dtype=u)
    given = [NONE if affine == "none" else gamma, *[beta if "beta" in affine else NONE] * (not rms)]
    outputs = [y, *[mean] * (not rms), rstd]
    assert run(symbol, (1, 7, 1), *outputs, x, i32(ROWS), i32(COLS), eps(u), *given) == 0
    mean64, rstd64 = statistics(x, rms, u)
    assert same(rstd, rstd64, u) and (rms or same(mean, mean64, u))
    wanted = rounded((x.double() - mean64[:, None]) * rstd64[:, None], v)
    if affine == "gamma and beta" or (affine == "gamma" and rms):
        wanted = rounded(wanted.double() * gamma.double(), v)
        wanted = wanted if rms else rounded(wanted.double() + beta.double(), v)
    assert same(y, wanted.double(), v)


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("symbol", [s for s in SYMBOLS if re.search("PartGrad|GradInput", s)], ids=range(36))
def test_backward(symbol, rms):
    torch.manual_seed(1)
    t, u, v = types(symbol)
    x, dy, gamma, beta = made(t, ROWS, COLS), made(v, ROWS, COLS), made(v, COLS), made(v, COLS)
    gamma[3:6] = torch.tensor([0, -1e-4, 1e-4]).to(v)
    mean, rstd = (s.to(u) for s in statistics(x, rms, u))
    xhat = (x.double() - (0 if rms else mean.double()[:, None])) * rstd.double()[:, None]
    if "Lb1E" in symbol:  # x is y
        xhat = (x.double() - (0 if rms else beta.double())) / clamped(gamma, u)
    inputs = dy, x, i32(ROWS), i32(COLS), rstd if rms else mean, rstd, eps(u), gamma, beta
    last = ctypes.c_double(EPS), ctypes.c_bool(rms)
    if "GradInput" in symbol:
        dx = torch.zeros_like(x)
        assert run(symbol, (1, 7, 1), *inputs, dx, *last) == 0
        g = dy.double() * gamma.double()
        s1, s2 = (0 if rms else g.sum(1, keepdim=True)), (g * xhat).sum(1, keepdim=True)
        wanted = (COLS * dy.double() * clamped(gamma, u) - s1 - xhat * s2) * (rstd.double()[:, None] / COLS)
        assert near(dx, wanted, t)
    else:
        dgamma, dbeta = torch.full((2, PARTS, COLS), -7.0, dtype=u)
        assert run(symbol, (2, PARTS, 1), *inputs, dgamma, dbeta, *last) == 0
        parts = torch.arange(ROWS) // 16  # 70 rows are 5 groups of 16 in 16 blocks
        for part in range(PARTS):
            assert near(dgamma[part], (dy.double() * xhat)[parts == part].sum(0), u)
            assert near(dbeta[part], dy.double()[parts == part].sum(0), u) if not rms else (dbeta == -7).all()


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("symbol", [s for s in SYMBOLS if "cuComputeGradGammaBeta" in s], ids=range(7))
def test_sum_of_parts(symbol, rms):
    torch.manual_seed(1)
    _, u, v = types(symbol)
    parts, got = made(u, 2, PARTS, COLS), torch.full((2, COLS), -7.0).to(v)
    numbers = i32(PARTS), i32(ROWS), i32(COLS)
    assert run(symbol, (2, 1, 1), parts[0], parts[1], *numbers, got[0], got[1], ctypes.c_bool(rms)) == 0
    assert same(got[0], parts[0].double().sum(0), v)
    assert (got[1] == -7).all() if rms else same(got[1], parts[1].double().sum(0), v)


def test_others_are_unknown():
    assert len(SYMBOLS) == 61
    for change in [("cuApply", "cuAlppy"), ("Lb0E", ""), ("Ifff", "Ifffd"), ("PT0_", "PT2_"), ("Idd", "Iddd")]:
        assert run(next(s for s in SYMBOLS if change[0] in s).replace(*change), (1, 1, 1)) == -1
