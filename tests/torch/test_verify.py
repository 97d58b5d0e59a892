# SPDX-License-Identifier: Apache-2.0
"""FUSELN_MODE=verify, and the first launches on an unknown build: our outputs are checked against the original's on the
device. A right kernel is never found wrong, a kernel with a planted mistake is (SOFTGPU_PLANT), and the program's
results stay the original's."""

import re
import subprocess

import pytest
from conftest import BUILD, COMMAND, check_sums

DTYPES = ("float32", "float16", "bfloat16", "float64")
SHORT = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64"}
FEW_SMS = {"SOFTGPU_SMS": "2"}  # then 40 rows have partial sums

PROGRAM = """
import hashlib, itertools, torch
DTYPES, STEPS, SHAPES = {dtypes}, {steps}, {shapes}
torch.manual_seed(0)
for step in range(STEPS):
    for DTYPE, (rows, cols) in itertools.product((getattr(torch, name) for name in DTYPES), SHAPES):
        for norm in ({norms}):
            norm = norm(cols).to(DTYPE)
            with torch.no_grad():
                for p in norm.parameters():
                    p.uniform_(0.5, 1.5)
            x, dy = torch.randn(rows, cols).to(DTYPE), torch.randn(rows, cols).to(DTYPE)
            norm, x = norm.cuda(), x.cuda().requires_grad_()
            y = norm(x)
            y.backward(dy.cuda())
            for t in (y, x.grad, *(p.grad for p in norm.parameters())):
                print(hashlib.sha256(t.detach().cpu().view(torch.uint8).numpy().tobytes()).hexdigest())
torch.cuda.synchronize()
"""
CAPTURED = """
import torch
norm = torch.nn.LayerNorm(768).cuda().requires_grad_(False)
x = torch.randn(40, 768).cuda()
if {warm}: norm(x)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    for _ in range({launches}): y = norm(x)
graph.replay()
torch.cuda.synchronize()
"""
LAYER = "lambda n: torch.nn.LayerNorm(n)"
RMS = "lambda n: torch.nn.RMSNorm(n)"


def program(*dtypes, steps=1, shapes=((40, 768), (33, 77), (5, 1500)), norms=(LAYER, RMS)):
    return PROGRAM.format(dtypes=repr(dtypes or ("float32",)), steps=steps, shapes=repr(shapes), norms=", ".join(norms) + ",")


def verified(run, *args, env=None, **options):
    done = run(program(*args, **options), cpu_ops=True, env=FEW_SMS | {"FUSELN_MODE": "verify"} | (env or {}))
    report = run.report()
    check_sums(report)
    assert report["totals"]["substituted"] == 0
    return done, report


def of_command(report):
    return subprocess.run([COMMAND, "report", report], capture_output=True, text=True)


def test_right_kernels_are_right_and_the_results_are_the_originals(run):
    off = run(program(*DTYPES), cpu_ops=True, env=FEW_SMS | {"FUSELN_MODE": "off"}).stdout
    done, report = verified(run, *DTYPES)
    assert done.stdout == off
    assert done.stderr == ""
    assert {site["op"] for site in report["sites"]} >= {"dx", "dgamma", "moments", "apply"}
    assert {site["rms"] for site in report["sites"]} == {True, False}
    for site in report["sites"]:
        found = site["verify"]
        assert site["passed_through"] == {"verify": site["launches"]}
        assert (found["launches"], found["waiting"], found["unchecked"]) == (site["launches"], 0, {})
        assert (found["failed"], found["outside"], found["outside_original"], found["nan"]) == (False, 0, 0, 0)
        assert found["elements"] >= site["rows"] and found["nearer"] in ("ours", "original", "equal")
        assert found["ours"]["rms_ulp"] <= found["ours"]["max_ulp"]
    assert report["devices"][0]["scratch_bytes"] <= 32 << 20
    table = of_command(run.path)
    assert table.returncode == 0
    assert re.search(r"(?m)^pytorch/dx\S* +768 +40 +1 +0 +1 +- verify$", table.stdout)


def failed(report):
    """The sites that were found wrong, {(op, dtype): [site]}"""
    found = {}
    for site in report["sites"]:
        if site["verify"]["failed"]:
            found.setdefault((site["op"], site["dtype"]), []).append(site)
    return found


def check_failed(run, done, found):
    """What the user reads about them."""
    sites = [site for sites in found.values() for site in sites]
    lines = done.stderr.splitlines()
    assert {line.split()[1] for line in lines} == {site["target"] for site in sites}
    assert all("our kernel is wrong here" in line and "cols=768 in libtorch_cuda.so" in line for line in lines)
    for site in sites:
        assert site["verify"]["outside"] > 0 and site["verify"]["outside_original"] == 0
        assert 0 <= site["verify"]["first"]["col"] < 768 and site["verify"]["apart"]["max_ulp"] > 0
    table = of_command(run.path)
    assert (table.returncode, table.stderr) == (3, "")
    assert "found wrong, so not replaced" in table.stdout and " WRONG " in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 100


# For double, the forward is two launches.
PLANTED = {(op, SHORT[dtype]) for dtype in DTYPES for op in ("dx", "dgamma", "apply" if dtype == "float64" else "forward")}


def test_a_planted_mistake_is_found_with_the_site_and_the_numbers(run):
    done, report = verified(run, *DTYPES, shapes=((1, 768), (24, 768)), env={"SOFTGPU_PLANT": "tail"})
    found = failed(report)
    assert PLANTED <= found.keys()
    check_failed(run, done, found)


@pytest.mark.parametrize("scratch", ("0", "300K"))
def test_the_memory_is_bounded_and_rows_come_in_slices(run, scratch):
    done, report = verified(run, shapes=((25, 4096),), norms=(LAYER,), env={"FUSELN_SCRATCH": scratch})
    assert report["devices"][0]["scratch_bytes"] <= (300 << 10 if scratch == "300K" else 0)
    for site in report["sites"]:
        found = site["verify"]
        assert not found["failed"]
        if scratch == "0":
            assert found["unchecked"] == {"scratch": 1}
        elif site["op"] in ("forward", "dx"):
            assert found["elements"] == 25 * 4096 + (2 * 25 if site["op"] == "forward" else 0)


def test_results_make_room_for_others(run):
    """More launches than there are slots for results."""
    _, report = verified(run, steps=100, shapes=((1, 64),), norms=(LAYER,))
    for site in report["sites"]:
        assert (site["verify"]["launches"], site["verify"]["unchecked"]) == (100, {})


def unknown(folder):
    """The environment for a libfuseln.so that knows no build, in a build folder of its own."""
    library = (BUILD / "libfuseln.so").read_bytes()
    ids = set(re.findall(rb"(?<=\0)[0-9a-f]{40}(?=\0)", library))
    assert ids
    for build in ids:
        library = library.replace(build, b"0" * 40)
    other = folder / "build"
    other.mkdir()
    (other / "libfuseln.so").write_bytes(library)
    for name in ("tests", "fuseln"):
        (other / name).symlink_to(BUILD / name)
    return {"TEST_BUILD": str(other)} | FEW_SMS


@pytest.mark.parametrize("number,replaced", (("0", 5), ("1", 4)))
def test_the_number_of_checks_can_be_set(run, tmp_path, number, replaced):
    run(program(steps=5, shapes=((40, 768),), norms=(RMS,)), cpu_ops=True, env=unknown(tmp_path) | {"FUSELN_CHECK": number})
    assert [site["substituted"] for site in run.report()["sites"]] == [replaced] * 3
    assert [bool(site["verify"]) for site in run.report()["sites"]] == [number != "0"] * 3
    assert of_command(run.path).returncode == 0


def test_the_first_check_finds_a_planted_mistake_and_nothing_is_replaced(run, tmp_path):
    steps = program(*DTYPES, steps=3, shapes=((1, 768), (24, 768)), norms=(LAYER,))
    off = run(steps, cpu_ops=True, env={"FUSELN_MODE": "off"}).stdout
    done = run(steps, cpu_ops=True, env=unknown(tmp_path) | {"SOFTGPU_PLANT": "tail"})
    report = run.report()
    found = failed(report)
    assert {key for key in PLANTED if key[0] != "forward"} <= found.keys()
    check_failed(run, done, found)
    sites = [site for sites in found.values() for site in sites]
    assert all(site["substituted"] == 0 and site["passed_through"]["failed"] >= 1 for site in sites)
    if all(site["substituted"] == 0 for site in report["sites"]):
        assert done.stdout == off


def test_in_capture_nothing_is_checked_and_nothing_replaced(run, tmp_path):
    run(CAPTURED.format(warm=False, launches=1), cpu_ops=True, env=unknown(tmp_path))
    (site,) = run.report()["sites"]
    assert site["passed_through"] == {"check": 1}
    assert site["verify"]["unchecked"] == {"capture": 1}


def test_no_launch_waits_for_results_that_come_late(run, tmp_path):
    """On a device that delays work: the originals run until the results are there."""
    run(program(steps=8, shapes=((40, 768),), norms=(LAYER,)), cpu_ops=True, seed=1, env=unknown(tmp_path))
    for site in run.report()["sites"]:
        assert site["passed_through"].keys() == {"check"}
        assert site["passed_through"]["check"] >= 3 and not site["verify"]["failed"]
        assert site["substituted"] == 0 or site["verify"]["launches"] == 3


ODD = """
import sys, torch
x = torch.randn(30, 256).half()
y = x.clone()
y[::int(sys.argv[1]), 100] = torch.inf
norm = torch.nn.LayerNorm(256).half().cuda()
for i in range(int(sys.argv[2])):
    for p in norm.parameters():
        p.grad = None
    z = (y if i < int(sys.argv[3]) else x).cuda().requires_grad_()
    norm(z).backward(torch.where(z.detach().cpu() > 9, torch.inf, x).cuda())
    torch.cuda.synchronize()
"""


def odd(run, *args, env):
    done = run(["-c", ODD, *map(str, args)], cpu_ops=True, env=env)
    assert done.stderr == ""
    report = run.report()
    check_sums(report)
    return {site["op"]: site for site in report["sites"]}


def test_an_inf_does_not_prevent_replacement(run, tmp_path):
    """It is in one of ten rows of the first launch, on an unknown build."""
    sites = odd(run, 10, 6, 1, env=unknown(tmp_path))
    assert {op: site["substituted"] for op, site in sites.items()} == {"forward": 3, "dx": 3, "dgamma": 2}
    assert sites["dgamma"]["verify"]["inconclusive"] == 1  # an Inf reaches each column
    assert sites["forward"]["verify"]["inconclusive"] == 0


@pytest.mark.parametrize("launches, inf, checked", [(24, 20, 20), (194, 40, 32)])
def test_rows_with_nothing_but_inf_prove_nothing(run, tmp_path, launches, inf, checked):
    """After 32 checks that proved nothing, one launch in 64 is checked."""
    sites = odd(run, 1, launches, inf, env=unknown(tmp_path))
    for site in sites.values():
        verify = site["verify"]
        assert (site["substituted"], verify["inconclusive"], verify["launches"]) == (1, checked, 3)


def test_the_report_says_that_checks_proved_nothing(run):
    env = FEW_SMS | {"FUSELN_MODE": "verify", "FUSELN_REPORT": "stdout"}
    done = run(["-c", ODD, "1", "101", "101"], cpu_ops=True, env=env)
    assert re.search(r"(?m)^pytorch/forward\S* +256 +0 unclear ", done.stdout)
    assert re.search(r"(?m)^ +303  unclear: Inf", done.stdout)
