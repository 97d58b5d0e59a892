# SPDX-License-Identifier: Apache-2.0
"""Random cases against float64, run by pytest on the software device (test_wheel.py, any_wheel.py). Layer norm and RMS
norm are called and held against float64 as on a GPU (tests/gpu/cases.py); what is compared with them are the inputs'
values on the CPU, so that a kernel that changed its inputs shows.
"""

import json
import os
import pathlib
import sys

import hypothesis
import hypothesis.strategies as st
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "gpu"))
from cases import (  # noqa: E402
    HAS_RMS, NAMES, acc_dtype, backward, bounds, check_backward, check_forward, forward, rounding, wrong,
)  # fmt: skip

rms_drawn = st.booleans() if HAS_RMS else st.just(False)
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
        "dtype": draw(st.sampled_from([*NAMES.values()])),
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


def on_host(tensors):
    return [tensor if tensor is None else tensor.cpu() for tensor in tensors]


def run_forward(case, rms):
    """x, gamma and beta; y, mean and rstd: all on the CPU."""
    generator = torch.Generator().manual_seed(case["seed"])
    x_host, x = make(case, generator, case["offset"], case["scale"])
    gamma_host, gamma = make_parameter(case["gamma"], case["cols"], case["dtype"], generator)
    beta_host, beta = make_parameter(case["beta"] and not rms, case["cols"], case["dtype"], generator)
    calls["forward"] += case["rows"] > 0
    return (x_host, gamma_host, beta_host), on_host(forward(x, gamma, beta, case["eps"], rms))


@hypothesis.given(cases(), rms_drawn)
def test_forward(case, rms):
    calls["cases"] += 1
    inputs, got = run_forward(case, rms)
    assert got[0].shape == (case["rows"], case["cols"])
    if case["rows"] > 0:
        assert check_forward(*inputs, case["eps"], rms, got) == []


@hypothesis.given(cases(), rms_drawn, masks)
def test_backward(case, rms, mask):
    generator = torch.Generator().manual_seed(case["seed"])
    x_host, x = make(case, generator, case["offset"], case["scale"])
    dy_host, dy = make(case, generator)
    gamma_host, gamma = make_parameter(case["gamma"], case["cols"], case["dtype"], generator)
    beta_host, beta = make_parameter(case["beta"] and not rms, case["cols"], case["dtype"], generator)
    given = bounds.statistics(x_host.double(), case["eps"], rms, *rounding(x_host))
    mean, rstd = (given[name][0].to(acc_dtype(x.dtype)) for name in ("mean", "rstd"))
    calls["cases"] += 1
    mask = [mask[0] == 1, mask[1] == 1 and gamma is not None, mask[2] == 1 and beta is not None]
    got = on_host(backward(dy, x, mean.to("cuda"), rstd.to("cuda"), gamma, beta, mask, rms))
    calls["dx"] += case["rows"] > 0 and mask[0]
    calls["dgamma"] += case["rows"] > 0 and any(mask[1:])
    if case["rows"] > 0:
        assert [tensor is not None for tensor in got] == mask
        assert check_backward(dy_host, x_host, mean, rstd, gamma_host, rms, got) == []


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
    (x, _, beta), (y, mean, rstd) = run_forward(case, False)
    (u, h), exact = rounding(x), x.double()
    assert not wrong("mean", mean, exact.mean(1, keepdim=True), h * u * exact.abs().mean(1, keepdim=True), torch.float32)
    assert (rstd == 0).all()
    assert (y == (0 if beta is None else beta)).all()


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
