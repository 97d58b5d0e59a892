# SPDX-License-Identifier: Apache-2.0
"""Hosts of many libraries and processes, run with any wheel's Python: PyTorch beside libraries that bring other CUDA
runtimes, in every order and scope, and the processes that PyTorch's own tools start."""

import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
import torch
from conftest import BUILD, COMMAND, FUSELN, PROGRAMS, ROOT, check_sums

os.environ.setdefault("TEST_BUILD", str(BUILD))
sys.path.append(str(ROOT / "tests" / "preload"))
import stand_in  # noqa: E402

(CRT,) = pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/triton/backends/nvidia/include")


def newest():
    """The folder of the newest stand-in runtime of each major version whose headers are (still) installed."""
    headers = BUILD.glob("tests/softgpu/cuda-*/include/cuda_runtime_api.h")
    versions = [path.parent.parent.name.removeprefix("cuda-").split(".") for path in headers]
    return {int(version[0]): BUILD / "tests" / "softgpu" / f"cuda-{'.'.join(version)}"
            for version in sorted(versions, key=lambda version: list(map(int, version)))}  # fmt: skip


RUNTIMES = newest()
OWN = RUNTIMES[int(torch.version.cuda.split(".")[0])]
(RUNTIME,) = OWN.glob("libcudart.so.*")


@pytest.fixture
def run(run):
    """Replaced from the first launch on, known build or not."""
    run.env |= {"FUSELN_CHECK": "0"}
    return run


def extension(output, folder, runtime, *options):
    """A library (extension.c) of the CUDA version in the folder, linked to this runtime of it."""
    stand_in.shared(output, "-isystem", folder / "include", f"-idirafter{CRT}", PROGRAMS / "extension.c", runtime,
                    "-lm", f"-Wl,--disable-new-dtags,-rpath,{runtime.parent}", *options)  # fmt: skip


def second_copy(folder):
    """PyTorch's own runtime under another name, as torchvision's wheel has one: the loader takes two libraries that
    give themselves the same name for one."""
    copy = folder / RUNTIME.name.replace(".so", ".copy.so")
    name = f"softgpu_cudart_{OWN.name.removeprefix('cuda-')}"
    objects = (OWN.parent / "CMakeFiles").glob(f"{name}*.dir/**/*.o")
    versions = f"-Wl,--version-script={OWN.parent / name / 'stubs.map'}"
    stand_in.shared(copy, *objects, versions, f"-Wl,-soname,{copy.name}", "-lpthread")
    return copy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Libraries of CUDA 11, 12 and 13, and one with a second copy of PyTorch's own runtime."""
    folder = tmp_path_factory.mktemp("hosts")
    for major, runtimes in RUNTIMES.items():
        extension(folder / f"cuda{major}.so", runtimes, next(runtimes.glob("libcudart.so.*")))
    extension(folder / "copy.so", OWN, second_copy(folder))
    return folder


# BESIDE WHAT...: loads PyTorch ("torch") and libraries (a letter for the scope, a colon, a path) in this order; then
# all but the runtimes launch, three times, the last time in a new thread.
BESIDE = """
import ctypes, os, sys, threading
SCOPES = {"l": os.RTLD_LOCAL, "g": os.RTLD_GLOBAL, "d": os.RTLD_LOCAL | os.RTLD_DEEPBIND}

def use_torch():
    x = torch.arange(5.0 * 768).view(5, 768) % 17
    norm = torch.nn.LayerNorm(768, elementwise_affine=False)
    print("torch", torch.allclose(norm(x.cuda()).cpu(), norm(x), atol=1e-5), flush=True)

runs = []
for what in sys.argv[1:]:
    if what == "torch":
        import torch
        runs.append(use_torch)
    else:
        library = ctypes.CDLL(what[2:], mode=SCOPES[what[0]])
        runs += [] if "libcudart" in what else [library.extension_run]

def launch():
    for run in runs:
        result = run()
        if result is not None:
            print("errors", result, flush=True)

launch()
launch()
thread = threading.Thread(target=launch)
thread.start()
thread.join()
"""
ORDERS = {
    "torch first": "torch l:cuda11 l:cuda12 l:copy l:cuda13",
    "torch last": "l:copy l:cuda13 l:cuda12 l:cuda11 torch",
    "in every scope": "g:cuda13 d:cuda11 torch d:copy g:cuda12",
}
RUNS = 3
NUMBER = re.compile(r"(?<=error )[\d.]+")


@pytest.mark.parametrize("order", ORDERS)
def test_each_library_reaches_its_own_runtime(run, folder, order):
    """Only fuseln is preloaded. PyTorch gets the stand-in runtime that is loaded just before it instead of its own."""
    what, said = [], {}
    for part in ORDERS[order].split():
        scope, _, name = part.partition(":")
        what += [f"{scope}:{folder}/{name}.so"] if name else [f"l:{RUNTIME}", "torch"]
    for mode in "alone", "observe", "replace":
        preload, env = ("", {}) if mode == "alone" else (FUSELN, {"FUSELN_MODE": mode})
        done = run.program(["env", f"LD_PRELOAD={preload}", sys.executable, "-c", BESIDE, *what], env=env)
        assert done.stderr == ""
        said[mode] = done.stdout
    assert said["observe"] == said["alone"]  # bit for bit: the originals ran
    assert NUMBER.sub("", said["replace"]) == NUMBER.sub("", said["alone"])
    assert all(float(number) < 1 for number in NUMBER.findall(said["replace"]))
    assert said["alone"].count("torch True") == said["alone"].count("errors 0\n") / 4 == RUNS
    report = run.report()
    check_sums(report)
    # No hook sees what RTLD_DEEPBIND binds to its own libraries first.
    seen = [path.split("/")[-1] for path in what if path[:2] in ("l:", "g:") and path[2:] != str(RUNTIME)]
    assert sorted(site["library"] for site in report["sites"]) == sorted([*seen, "libtorch_cuda.so"])
    for site in report["sites"]:
        assert (site["boundary"], site["launches"], site["substituted"]) == ("runtime", RUNS, RUNS), site


def test_a_static_runtime_beside_pytorch(run, folder):
    """It cannot start on the software device: its launches fail as they do alone, and PyTorch's are replaced."""
    library, runtime = folder / "static.so", (RUNTIMES[13] / "real").resolve().parent / "libcudart_static.a"
    extension(library, RUNTIMES[13], runtime, "-lpthread", "-lrt")
    command = ["-c", BESIDE, f"l:{library}", "torch"]
    alone = run(command, fuseln=False).stdout
    assert run(command).stdout == alone
    assert alone.count("torch True") == alone.count("errors") == RUNS
    assert "errors 0" not in alone
    (site,) = run.report()["sites"]
    assert (site["library"], site["launches"], site["substituted"]) == ("libtorch_cuda.so", RUNS, RUNS)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_that_launch_have_a_report_each_and_others_none(run, tmp_path, method):
    """Children of fork and forkserver end by os._exit, as some programs do: their reports are of an earlier moment, and
    say so."""
    done = run([str(PROGRAMS / "family.py"), method], env={"FUSELN_REPORT": "%p.json"})
    assert done.stderr == ""
    *processes, exit_codes = done.stdout.splitlines()
    assert exit_codes == f"7 {-signal.SIGKILL} 0"
    ended = {int(pid): (int(launches), end) for pid, launches, end in map(str.split, processes)}
    assert len(ended) == 5
    reports = {int(file.stem): json.loads(file.read_text()) for file in tmp_path.glob("*.json")}
    assert reports.keys() == ended.keys()
    for pid, (launches, end) in ended.items():
        report, last = reports[pid], pid == int(processes[-1].split()[0])
        check_sums(report)
        assert report["final"] == (last or (method == "spawn" and end == "returned"))
        substituted = report["totals"]["substituted"]
        assert substituted == report["totals"]["recognised"]
        assert substituted == launches if report["final"] else 0 < substituted <= launches
    merged = subprocess.run([COMMAND, "report", "--json", *tmp_path.glob("*.json")], capture_output=True, check=True)
    totals = json.loads(merged.stdout)["totals"]
    assert totals["substituted"] == sum(report["totals"]["substituted"] for report in reports.values())


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed here")
def test_torchvisions_wheel_has_a_runtime_of_its_own(run):
    program = [str(PROGRAMS / "use_torchvision.py")]
    alone = run(program, fuseln=False)
    assert run(program).stdout == alone.stdout
    totals = run.report()["totals"]  # the other launch is torchvision's, of a kernel that the device does not know
    assert (totals["launches"], totals["substituted"]) == (2, 1)
    assert "roi_align_forward_kernel" in alone.stderr
