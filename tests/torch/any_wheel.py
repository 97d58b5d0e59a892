# SPDX-License-Identifier: Apache-2.0
"""What every PyTorch wheel must show, run with its own Python (wheels.py): right numbers where every layer norm is
replaced, the same bits from pairs, models that learn the same, names that a scan finds, and silence where no kernel is
launched. Writes what it counted to $WHEEL_ROW, for the table of the wheels."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import torch
from conftest import COMMAND, FUSELN, ROOT, check_sums, environment
from drawn import HAS_RMS
from test_models import check_curves, curves
from test_verify import DTYPES, LAYER, program, unknown

HERE = pathlib.Path(__file__).resolve().parent
LIBRARIES = pathlib.Path(torch.__file__).parent / "lib"
VERSION = tuple(int(part) for part in torch.__version__.split("+")[0].split("."))
row = {"version": ".".join(map(str, VERSION)), "cuda": torch.version.cuda, "python": "%d.%d" % sys.version_info[:2],
       "cases": 0, "replaced": 0, "pairs": 0}  # fmt: skip


def has_a_static_runtime():
    """PyTorch 1.13's libc10_cuda.so has the CUDA runtime inside, which cannot start on the software device's driver."""
    command = ["readelf", "-d", LIBRARIES / "libc10_cuda.so"]
    return "libcudart" not in subprocess.run(command, check=True, capture_output=True, text=True).stdout


on_the_device = pytest.mark.skipif(has_a_static_runtime(), reason="no static runtime starts on the software device")


@pytest.fixture(autouse=True, scope="module")
def written():
    yield
    if "WHEEL_ROW" in os.environ:
        pathlib.Path(os.environ["WHEEL_ROW"]).write_text(json.dumps(row))


@pytest.fixture
def run(run):
    """On a device that this wheel has code for; its build is replaced from the first launch on, known or not."""
    run.env |= {"FUSELN_CHECK": "0", "SOFTGPU_CC": "8.0"}
    return run


def count(report, new_thread=0):
    """Adds a run to the row. A new thread's first launch has no current context if it made no call of the runtime before;
    that one passes through."""
    check_sums(report)
    totals = report["totals"]
    passed = sum((list(site["passed_through"].items()) for site in report["sites"]), [])
    assert all(reason == "context" for reason, _ in passed) and totals["passed_through"] <= new_thread, passed
    assert totals["substituted"] > 0
    row["replaced"] += totals["substituted"]
    row["pairs"] += totals["pairs"]
    return report


@on_the_device
def test_drawn_cases_in_all_types_with_all_masks_agree_with_float64(run, tmp_path):
    calls = tmp_path / "calls.json"
    run(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "drawn.py")],
        cpu_ops=True,
        env={"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "FUSELN_SCRATCH": "256M", "DRAWN_CALLS": str(calls),
             "DRAWN_CASES": os.environ.get("DRAWN_CASES", "40")},
        timeout=1500,
    )  # fmt: skip
    report, made = count(run.report()), json.loads(calls.read_text())
    assert made["cases"] >= 100
    row["cases"] += made["cases"]
    assert made["forward"] + made["dx"] + made["dgamma"] <= report["totals"]["recognised"]
    sites = [site for site in report["sites"] if site["target"] != "other"]
    assert {site["dtype"] for site in sites} == {"f32", "f16", "bf16", "f64"}
    assert {site["op"] for site in sites} == {"forward", "moments", "apply", "dx", "dgamma"}
    assert {site["rms"] for site in sites} == ({True, False} if HAS_RMS else {False})
    builds = {(site["library"], site["build_id"]) for site in sites}
    assert len(builds) == 1


# More than 65,536 rows of few columns, for which PyTorch 2.8 and later launch a kernel that leaves partial sums to at::sum.
# Ours writes the whole sum, rounded once, into the first row of those and zeros into the others. The longest chain of
# additions before that is a partial row of ours, of which there are 132 to 264 (one or two a multiprocessor), then their
# sum.
HUGE = """
import torch
ROWS, COLS = 65600, 32
CHAIN = ROWS // 132 + 264
torch.manual_seed(0)
for dtype, unit in {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float64: 2.0**-53}.items():
    acc = torch.promote_types(dtype, torch.float32)
    x, dy = (torch.randn(ROWS, COLS).to(dtype) for _ in range(2))
    mean, rstd = torch.zeros(ROWS, 1, dtype=acc), torch.ones(ROWS, 1, dtype=acc)
    on_device = [t.cuda() for t in (dy, x, mean, rstd, torch.ones(COLS, dtype=dtype))]
    on_device.insert(2, [COLS])
    grads = torch.ops.aten.native_layer_norm_backward(*on_device, on_device[5], [False, True, True])
    for got, term in zip(grads[1:], (dy.double() * x.double(), dy.double())):
        bound = term.abs().sum(0) * CHAIN * min(unit, 2.0**-24) + 2 * term.sum(0).abs() * unit
        assert ((got.cpu().double() - term.sum(0)).abs() <= bound).all(), dtype
"""


@on_the_device
def test_the_partial_sums_of_many_rows(run):
    run(HUGE, cpu_ops=True)
    symbols = [site["symbol"] for site in count(run.report())["sites"] if site["op"] == "dgamma"]
    assert len(symbols) == 4
    partial = [symbol for symbol in symbols if re.search(r"KernelTemplateI.*Lj32ELj1ELj32ELb1E", symbol)]
    assert len(partial) == (4 if VERSION >= (2, 8) else 0)
    row["cases"] += 4


@on_the_device
def test_pairs_are_formed_and_have_the_bits_of_apart(run):
    cases = "copy zero change_x another_thread another_layer_norm freed_and_taken_again a_graph".split()
    command = [str(HERE / "pairs.py"), *cases]
    apart = run(command, env={"FUSELN_SKIP": "pairs"}).stdout
    assert run(command).stdout == apart
    report = count(run.report(), new_thread=2)
    assert report["totals"]["pairs"] >= len(cases)
    row["cases"] += len(cases)


@on_the_device
@pytest.mark.parametrize("model", ["small_models.py transformer", "small_models.py mixer", "train.py --steps 6"])
def test_models_train_the_same(run, model):
    script, *arguments = model.split()
    folder = ROOT / "tools" if script == "train.py" else HERE
    ours, theirs, report = curves(run, [str(folder / script), *arguments])
    check_curves(ours, theirs)
    count(report, new_thread=1)
    row["cases"] += 1


@on_the_device
def test_an_unknown_build_is_checked_first_and_then_replaced(run, tmp_path):
    run.env.pop("FUSELN_CHECK")
    run(program(*DTYPES, steps=5, norms=(LAYER,)), cpu_ops=True, env=unknown(tmp_path))
    report = run.report()
    check_sums(report)
    sites = [site for site in report["sites"] if site["passed_through"] != {"context": 1}]  # as in count()
    assert len(sites) >= len(report["sites"]) - 1
    assert {site["dtype"] for site in sites} == {"f32", "f16", "bf16", "f64"}
    for site in sites:
        assert (site["build"], site["passed_through"]) == ("unverified", {"check": 3}), site
        assert 1 <= site["substituted"] == site["launches"] - 3, site
        assert (site["verify"]["launches"], site["verify"]["failed"], site["verify"]["unchecked"]) == (3, False, {}), site


def names_of_its_release():
    """The kernels that a release of this version registers."""
    (names,) = (path for path in (ROOT / "tests" / "data" / "symbols").glob("torch-*.txt")
                if row["version"] in path.stem.split("-")[1].split("_"))  # fmt: skip
    return set(names.read_text().split())


def test_a_scan_recognises_each_of_its_norm_kernels(run):
    command = [COMMAND, "scan", "--json", "--symbols", LIBRARIES]
    files = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["files"]
    (file,) = (file for file in files if file["kernels"])
    row.update(build_id=file["build_id"], library=pathlib.Path(file["path"]).name, kernels=file["kernels"],
               runs=not has_a_static_runtime())  # fmt: skip
    assert {name for target in file["targets"] for name in target["symbols"]} == names_of_its_release()


def import_seconds(**variables):
    """Processor time, for the row alone: a busy machine shows in it too. What registrations cost exactly is a budget
    (tools/budgets.sh)."""
    command = [sys.executable, "-c", "import torch, time; print(time.process_time())"]
    done = subprocess.run(command, env=environment(**variables), check=True, capture_output=True, text=True)
    assert "fuseln" not in done.stderr
    return float(done.stdout)


def test_an_import_is_quiet(tmp_path):
    report = tmp_path / "imported.json"
    alone, ours = zip(*((import_seconds(), import_seconds(LD_PRELOAD=str(FUSELN), FUSELN_REPORT=str(report)))
                        for _ in range(3)))  # fmt: skip
    assert not report.exists()
    row["import_seconds"] = {"alone": round(min(alone), 2), "ours": round(min(ours), 2)}


def test_children_that_launch_nothing_say_and_write_nothing(run, tmp_path):
    """As with a data loader's workers: they inherit the preload and the settings."""
    code = """
import torch, torch.utils.data, subprocess, sys
if __name__ == "__main__":
    data = torch.utils.data.TensorDataset(torch.arange(8.0))
    assert sum(batch[0].sum() for batch in torch.utils.data.DataLoader(data, batch_size=2, num_workers=2)) == 28
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    subprocess.run(["/bin/true"], check=True)
"""
    script = tmp_path / "loader.py"
    script.write_text(code)
    done = run([str(script)])
    assert done.stdout == "" and "fuseln" not in done.stderr
    assert list(tmp_path.glob("report*")) == []
