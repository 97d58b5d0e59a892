# SPDX-License-Identifier: Apache-2.0
"""Random cases against extended precision, run by pytest on the software device (test_wheel.py).

Layer norm and RMS norm are called as PyTorch's autograd calls them (aten::native_layer_norm, _backward, ...), so that
the backward gets exact values of mean and rstd. The reference is numpy.longdouble on the same bits, with the bounds of
tests/bounds.py.
"""

import json
import os
import pathlib
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import bounds  # noqa: E402

DTYPES = torch.float32, torch.float16, torch.bfloat16, torch.float64
ld = np.longdouble
HAS_RMS_NORM = hasattr(torch.ops.aten, "_fused_rms_norm_backward")  # with its forward on CUDA, since PyTorch 2.9
rms_drawn = st.booleans() if HAS_RMS_NORM else st.just(False)
calls = {"cases": 0, "forward": 0, "dx": 0, "dgamma": 0}

hypothesis.settings.register_profile(
    "drawn",
    max_examples=int(os.environ.get("DRAWN_CASES", "100")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("drawn")


def teardown_module():
    """Tells the outer test how many calls were made."""
    if "DRAWN_CALLS" in os.environ:
        with open(os.environ["DRAWN_CALLS"], "w") as file:
            json.dump(calls, file)


cols_drawn = st.one_of(
    st.integers(1, 70),
    st.sampled_from([96, 128, 255, 256, 257, 261, 384, 512, 513, 768, 1000, 1023, 1024, 1280, 1536, 2048, 2052, 4096]),
    st.sampled_from([4097, 5120, 8192, 8200, 16384, 16388, 20001]),
)
masks = st.sampled_from([(1, 1, 1), (1, 1, 1), (1, 0, 0), (0, 1, 1), (1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)])
rows_drawn = st.one_of(st.integers(0, 9), st.integers(10, 70), st.sampled_from([127, 128, 300]))


@st.composite
def cases(draw):
    rows, cols = draw(rows_drawn), draw(cols_drawn)
    if rows * cols > 200_000:
        rows = max(1, 200_000 // cols)
    return {
        "rows": rows,
        "cols": cols,
        "dtype": draw(st.sampled_from(DTYPES)),
        "skew": draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4])),  # elements by which x and dy start past alignment
        "strided": draw(st.integers(0, 9)) == 0,
        "gamma": draw(st.sampled_from([True, True, False])),
        "beta": draw(st.sampled_from([True, True, False])),
        "offset": draw(st.sampled_from([0.0, 0.0, 1.0, 30.0])),
        "scale": draw(st.sampled_from([1.0, 1.0, 1e-3, 20.0])),
        "eps": draw(st.sampled_from([1e-5, 1e-6, 1e-3, 1e-12])),
        "seed": draw(st.integers(0, 2**31)),
    }


def make(case, generator, offset=0.0, scale=1.0):
    """[rows, cols] on the CPU and the same bits on the device, skewed or strided there as the case says."""
    rows, cols, skew = case["rows"], case["cols"], case["skew"]
    host = (torch.randn(rows, cols, generator=generator, dtype=torch.float64) * scale + offset).to(case["dtype"])
    if case["strided"]:
        return host, host.t().contiguous().to("cuda").t()
    flat = torch.zeros(rows * cols + skew, dtype=case["dtype"])
    flat[skew:] = host.flatten()
    return host, flat.to("cuda")[skew:].view(rows, cols)


def make_parameter(wanted, cols, dtype, generator):
    host = torch.randn(cols, generator=generator, dtype=torch.float64).to(dtype) if wanted else None
    return host, None if host is None else host.to("cuda")


def exact(tensor):
    if tensor is None:
        return None
    tensor = tensor.cpu()
    return (tensor if tensor.dtype == torch.float64 else tensor.float()).numpy().astype(ld)


def check(name, got, expected, bound, dtype):
    """Every element within bound + one rounding to its type."""
    got = exact(got)
    assert got.shape == expected.shape, name
    allowed = bounds.allowed(expected, bound, torch.finfo(dtype))
    limit = torch.finfo(dtype).max
    inside = np.abs(got - expected) <= allowed
    inside |= (np.abs(expected) + allowed >= limit) & ~np.isfinite(got)  # rounds to infinity
    if not inside.all():
        where = np.unravel_index(np.argmax(np.where(inside, 0, np.abs(got - expected) / allowed)), got.shape)
        raise AssertionError(f"{name}{where}: got {got[where]}, expected {expected[where]}, allowed {allowed[where]}")


def acc_dtype(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def rounding(case):
    """u and h of sums over a row."""
    return torch.finfo(acc_dtype(case["dtype"])).eps / 2, bounds.chain(case["cols"])


def run_forward(case, rms):
    generator = torch.Generator().manual_seed(case["seed"])
    x_host, x = make(case, generator, case["offset"], case["scale"])
    gamma_host, gamma = make_parameter(case["gamma"], case["cols"], case["dtype"], generator)
    beta_host, beta = make_parameter(case["beta"] and not rms, case["cols"], case["dtype"], generator)
    if rms:
        y, rstd = torch.ops.aten._fused_rms_norm(x, [case["cols"]], gamma, case["eps"])
        mean = None
    else:
        y, mean, rstd = torch.ops.aten.native_layer_norm(x, [case["cols"]], gamma, beta, case["eps"])
    calls["forward"] += case["rows"] > 0
    return exact(x_host), exact(gamma_host), exact(beta_host), y, mean, rstd


@hypothesis.given(cases(), rms_drawn)
def test_forward(case, rms):
    calls["cases"] += 1
    x, gamma, beta, y, mean, rstd = run_forward(case, rms)
    acc = acc_dtype(case["dtype"])
    eps = ld(np.float32(case["eps"])) if acc == torch.float32 else ld(case["eps"])
    if case["rows"] == 0:
        assert y.shape == (0, case["cols"])
        return
    u, h = rounding(case)
    expected = bounds.statistics(x, eps, rms, u, h)
    if not rms:
        check("mean", mean, *expected["mean"], acc)
    check("rstd", rstd, *expected["rstd"], acc)
    g = 1 if gamma is None else gamma
    b = 0 if beta is None else beta
    check("y", y, *bounds.affine(expected["xhat"], g, b, u), case["dtype"])


@hypothesis.given(cases(), rms_drawn, masks)
def test_backward(case, rms, mask):
    dtype, acc = case["dtype"], acc_dtype(case["dtype"])
    generator = torch.Generator().manual_seed(case["seed"])
    x_host, x = make(case, generator, case["offset"], case["scale"])
    dy_host, dy = make(case, generator)
    gamma_host, gamma = make_parameter(case["gamma"], case["cols"], dtype, generator)
    beta_host, beta = make_parameter(case["beta"] and not rms, case["cols"], dtype, generator)
    x_exact, dy_exact, gamma_exact = exact(x_host), exact(dy_host), exact(gamma_host)
    u, h = rounding(case)
    given = bounds.statistics(x_exact, ld(case["eps"]), rms, u, h)
    mean, rstd = (torch.from_numpy(given[name][0].astype(np.float64)).to(acc).to("cuda") for name in ("mean", "rstd"))
    calls["cases"] += 1
    mask = [mask[0] == 1, mask[1] == 1 and gamma is not None, mask[2] == 1 and beta is not None]
    if rms:
        mask = mask[:2]
        dx, dgamma = torch.ops.aten._fused_rms_norm_backward(dy, x, [case["cols"]], rstd, gamma, mask)
        dbeta = None
    else:
        dx, dgamma, dbeta = torch.ops.aten.native_layer_norm_backward(
            dy, x, [case["cols"]], mean, rstd, gamma, beta, mask
        )
    calls["dx"] += case["rows"] > 0 and mask[0]
    calls["dgamma"] += case["rows"] > 0 and any(mask[1:])
    if case["rows"] == 0:
        return

    mean, rstd = (0, exact(rstd)) if rms else (exact(mean), exact(rstd))
    if mask[0]:
        g = 1 if gamma_exact is None else gamma_exact
        check("dx", dx, *bounds.dx(dy_exact, x_exact, mean, rstd, g, rms, u, h), dtype)
    # A column: rows / P terms in order, then up to P partial sums in order; P is at most 2 per SM here.
    h = case["rows"] + 4
    if mask[1]:
        check("dgamma", dgamma, *bounds.columns(dy_exact * ((x_exact - mean) * rstd), u, h), dtype)
    if not rms and mask[2]:
        check("dbeta", dbeta, *bounds.columns(dy_exact, u, h), dtype)


@hypothesis.settings(max_examples=60)
@hypothesis.given(cases(), st.sampled_from([1.0, 1e4]))
def test_a_constant_row_has_its_value_as_mean_and_y_is_beta(case, scale):
    """The original's running mean of equal values has no rounding error, however wide the row."""
    calls["cases"] += 1
    case = {**case, "rows": max(1, case["rows"]), "strided": False}
    generator = torch.Generator().manual_seed(case["seed"])
    value = torch.randn((), generator=generator, dtype=torch.float64) * scale  # with every bit of its mantissa in use
    flat = value.to(case["dtype"]).expand(case["rows"] * case["cols"] + case["skew"])
    x = flat.to("cuda")[case["skew"] :].view(case["rows"], case["cols"])
    beta_host, beta = make_parameter(True, case["cols"], case["dtype"], generator)
    y, mean, _ = torch.ops.aten.native_layer_norm(x, [case["cols"]], None, beta, case["eps"])
    calls["forward"] += 1
    assert (mean.cpu().double() == flat[0].double()).all()
    assert torch.equal(y.cpu(), beta_host.expand(case["rows"], -1))


def test_launches_of_one_shape_that_differ_in_alignment_and_nulls_alone():
    """Nothing decided for one of these may be reused for another."""
    flat = torch.randn(8 * 64 + 4, generator=torch.Generator().manual_seed(0))
    weight, device = torch.linspace(-2, 2, 64), flat.to("cuda")
    for skew, gamma, beta in [(0, 1, 1), (1, 1, 1), (2, 1, 1), (4, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1)]:
        w, b = (weight if wanted else None for wanted in (gamma, beta))
        x = device[skew : skew + 8 * 64].view(8, 64)
        on_device = [p if p is None else p.to("cuda") for p in (w, b)]
        y = torch.ops.aten.native_layer_norm(x, [64], *on_device, 1e-5)[0]
        calls["forward"] += 1
        expected = torch.nn.functional.layer_norm(x.cpu().double(), (64,))
        expected = expected * (1 if w is None else w.double()) + (0 if b is None else b.double())
        assert (y.cpu().double() - expected).abs().max() < 2.0**-24 * 64 * 4


@hypothesis.settings(max_examples=40)
@hypothesis.given(cases(), st.sampled_from([1e20, 1e26, 1e30, 1e35, 4e36]))
def test_a_row_whose_squares_overflow_has_its_mean_and_y_is_beta(case, scale):
    """The original's variance is then infinite and its rstd 0; its running mean stays finite."""
    calls["cases"] += 1
    case = {**case, "rows": max(1, case["rows"]), "cols": max(16, case["cols"]), "scale": scale, "offset": scale}
    case["dtype"] = torch.bfloat16 if case["dtype"] in (torch.float16, torch.bfloat16) else torch.float32
    x, gamma, beta, y, mean, rstd = run_forward(case, False)
    u, h = rounding(case)
    check("mean", mean, x.mean(1, keepdims=True), h * u * np.abs(x).mean(1, keepdims=True), torch.float32)
    assert (rstd == 0).all()
    assert (exact(y) == (0 if beta is None else beta)).all()


@hypothesis.settings(max_examples=30)
@hypothesis.given(cases(), rms_drawn, st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_a_row_with_nan_or_inf_spoils_itself_alone(case, rms, bad):
    calls["cases"] += 1
    case = {**case, "rows": max(2, case["rows"]), "cols": max(2, case["cols"]), "strided": False}
    generator = torch.Generator().manual_seed(case["seed"])
    host, clean = make(case, generator)
    _, dirty = make(case, torch.Generator().manual_seed(case["seed"]))
    dirty_row, dirty_col = int(case["seed"]) % case["rows"], int(case["seed"]) % case["cols"]
    flat = host.clone()
    flat[dirty_row, dirty_col] = bad
    dirty = torch.cat([torch.zeros(case["skew"], dtype=case["dtype"]), flat.flatten()]).to("cuda")[case["skew"] :]
    dirty = dirty.view(case["rows"], case["cols"])

    def run(x):
        calls["forward"] += 1
        if rms:
            return torch.ops.aten._fused_rms_norm(x, [case["cols"]], None, case["eps"])[0].cpu()
        return torch.ops.aten.native_layer_norm(x, [case["cols"]], None, None, case["eps"])[0].cpu()

    y_clean, y_dirty = run(clean), run(dirty)
    spoiled = y_dirty[dirty_row]
    one_launch = case["dtype"] != torch.float64 and case["cols"] % 4 == 0 and case["skew"] % 4 == 0
    if not rms or bad != bad or not one_launch:  # PyTorch's RMS norm in two launches takes the mean on its way
        assert torch.isnan(spoiled).all()
    else:  # 1/sqrt(inf) is 0: x * 0 is 0, and inf * 0 is NaN
        assert torch.isnan(spoiled[dirty_col])
        others = torch.cat([spoiled[:dirty_col], spoiled[dirty_col + 1 :]])
        assert (others == 0).all()
    clean_rows = [i for i in range(case["rows"]) if i != dirty_row]
    assert torch.equal(y_clean[clean_rows], y_dirty[clean_rows])
