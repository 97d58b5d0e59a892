# SPDX-License-Identifier: Apache-2.0
"""The unmodified PyTorch wheel on the software device, with fuseln: right numbers, and a report that adds up."""

import json
import os
import pathlib

import pytest
from conftest import check_sums, launches, Runner

HERE = pathlib.Path(__file__).resolve().parent

STEP = """
import torch
from torch.nn import functional as F
torch.manual_seed(0)
x = torch.randn(8, 64).cuda().requires_grad_()
weight, bias = torch.ones(64).cuda().requires_grad_(), torch.zeros(64).cuda().requires_grad_()
dy = torch.randn(8, 64).cuda()
def step():
    y = F.layer_norm(x, (64,), weight, bias)
    return [y, *torch.autograd.grad(y, [x, weight, bias], dy)]
"""
PRINT_BITS = """
import hashlib
for tensor in step():
    print(hashlib.sha256(tensor.detach().cpu().numpy().tobytes()).hexdigest())
"""


def test_drawn_cases_agree_with_float64_and_the_report_with_the_calls(run, tmp_path):
    calls = tmp_path / "calls.json"
    done = run(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "drawn.py")],
        cpu_ops=True,
        env={
            "FUSELN_SCRATCH": "256M",
            "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",  # a guard zone around each tensor; exit 86 where one is damaged
            "DRAWN_CALLS": str(calls),
            "DRAWN_CASES": os.environ.get("DRAWN_CASES", "150"),
        },
        timeout=1500,
    )
    assert "6 passed" in done.stdout
    report, made = run.report(), json.loads(calls.read_text())
    check_sums(report)
    assert made["cases"] >= 300
    # Sites beyond the table's 1,024 are counted in one that has no op; then only the sum is known.
    other = sum(site["launches"] for site in report["sites"] if site["target"] == "other")
    reported = {op: launches(report, op) for op in ("forward", "moments", "apply", "dx", "dgamma")}
    if other == 0:
        assert reported["forward"] + reported["moments"] == made["forward"]
        assert reported["moments"] == reported["apply"]
        assert (reported["dx"], reported["dgamma"]) == (made["dx"], made["dgamma"])
    made_in_all = made["forward"] + made["dx"] + made["dgamma"]  # and an apply for each moments
    assert made_in_all + reported["apply"] <= report["totals"]["recognised"] <= made_in_all + reported["apply"] + other
    assert report["totals"]["passed_through"] == 0
    assert {site["dtype"] for site in report["sites"]} >= {"f32", "f16", "bf16", "f64"}
    assert {site["rms"] for site in report["sites"]} >= {True, False}


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    """What a step prints of its results, with fuseln and without."""
    run = Runner(tmp_path_factory.mktemp("bits"))
    return {fuseln: run(STEP + PRINT_BITS, fuseln=fuseln).stdout for fuseln in (True, False)}


def test_a_step_is_replaced_whole_and_the_report_says_from_where(run):
    done = run(STEP + "step()")
    assert done.stdout == "" and done.stderr == ""
    report = run.report()
    check_sums(report)
    assert report["totals"]["substituted"] == report["totals"]["recognised"] == 3
    assert {site["op"] for site in report["sites"]} == {"forward", "dx", "dgamma"}
    for site in report["sites"]:
        assert site["library"] == "libtorch_cuda.so"
        assert len(site["build_id"]) == 40
        assert site["cols"] == 64 and site["rows"] == 8
        assert site["kernel"].startswith("fuseln_ln_")
        assert "layer_norm_kernel_cu" in site["symbol"]
    (device,) = report["devices"]
    assert device["compute_capability"] == "9.0" and device["image"] == "sm_90"


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_off_and_observe_leave_the_originals_bits(run, bits, mode):
    assert bits[False].count("\n") == 4
    assert run(STEP + PRINT_BITS, env={"FUSELN_MODE": mode}).stdout == bits[False]
    report = run.report()
    if mode == "off":
        assert report is None
    else:
        check_sums(report)
        assert report["totals"]["substituted"] == 0
        assert [site["passed_through"] for site in report["sites"]] == [{"observe": 1}] * 3


def test_two_runs_give_the_same_bits(run, bits):
    assert bits[True] == run(STEP + PRINT_BITS).stdout
    assert bits[True] != run(STEP.replace("seed(0)", "seed(1)") + PRINT_BITS).stdout


def test_the_trace_has_a_line_for_every_substitution_and_the_log_one_for_each_site(run, tmp_path):
    trace = tmp_path / "trace.jsonl"
    done = run(STEP + "for i in range(5): step()", env={"FUSELN_TRACE": str(trace), "FUSELN_LOG": "info"})
    said = [line for line in done.stderr.splitlines() if line.startswith("fuseln[")]
    assert sum("site " in line for line in said) == 3
    assert len(said) == 4  # and one at the first launch
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert len(lines) == run.report()["totals"]["substituted"] == 15
    assert {line["cols"] for line in lines} == {64}
    assert all(line["grid"] and line["kernel"] and "stream" in line for line in lines)


def test_rows_zero_and_cols_zero(run):
    run("""
import torch
from torch.nn import functional as F
assert F.layer_norm(torch.zeros(0, 8).cuda(), (8,)).shape == (0, 8)
try: F.layer_norm(torch.zeros(3, 0).cuda(), (0,))
except RuntimeError as error: print(error)
""")


def test_a_context_that_is_gone_or_replaced_passes_on(run):
    """A library pops the context by the driver's calls, or makes none current."""
    run(STEP + """
import ctypes
driver = ctypes.CDLL("libcuda.so.1")
step()
popped = ctypes.c_void_p()
assert driver.cuCtxPopCurrent_v2(ctypes.byref(popped)) == 0 or driver.cuCtxSetCurrent(None) == 0
with torch.no_grad(): F.layer_norm(x, (64,), weight, bias)
assert driver.cuCtxSetCurrent(popped) == 0
step()
""")
    report = run.report()
    check_sums(report)
    assert report["totals"]["reasons"] == {"context": 1}
    assert report["totals"]["recognised"] == 7
