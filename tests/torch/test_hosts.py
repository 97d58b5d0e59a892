# SPDX-License-Identifier: Apache-2.0
"""Hosts of many libraries and processes, with the Python and the PyTorch wheel that runs this file: CUDA runtimes of
several versions beside PyTorch's, and children that PyTorch's own tools start."""

import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import BUILD, COMMAND, FUSELN, PROGRAMS, ROOT, check_sums

pytestmark = pytest.mark.usefixtures("unchecked")
SOFTGPU = BUILD / "tests" / "softgpu"
SYMBOLS = (ROOT / "tests" / "data" / "symbols" / "torch-2.15.0.txt").read_text()
SYMBOL = re.search(r"\S+vectorized_layer_norm_kernelIffLb0\S+", SYMBOLS)[0]
RUNTIMES = {
    folder.name.removeprefix("cuda-"): next(folder.glob("libcudart.so.*"))
    for folder in sorted(SOFTGPU.glob("cuda-*"))
    if (folder / "include").exists()
}
# The version of the wheel's own runtime.
(OURS,) = (found.version for found in importlib.metadata.distributions()
           if re.fullmatch("nvidia-cuda-runtime(-cu1.)?", found.name))  # fmt: skip

# Loads and runs what its arguments name, in this order: `torch`, or SCOPE:LIBRARY. Twice, and once in another thread.
HOST = """
import ctypes, os, sys, threading
SCOPES = {"l": os.RTLD_LOCAL, "g": os.RTLD_GLOBAL, "d": os.RTLD_LOCAL | os.RTLD_DEEPBIND}
def use_torch():
    x = torch.arange(5.0 * 768).view(5, 768) % 17
    expected = torch.nn.functional.layer_norm(x, (768,))
    print(torch.allclose(torch.nn.functional.layer_norm(x.cuda(), (768,)).cpu(), expected, atol=1e-5), flush=True)
uses = []
for what in sys.argv[1:]:
    if what == "torch":
        import torch
        uses.append(use_torch)
        continue
    library = ctypes.CDLL(what[2:], mode=SCOPES[what[0]])
    if "extension" in what:
        uses.append(lambda run=library.extension_run: print("errors", run(), flush=True))
def use():
    for run in uses:
        run()
use()
use()
thread = threading.Thread(target=use)
thread.start()
thread.join()
"""


def extension(folder, name, version, runtime):
    """A library of that CUDA version (extension.c), linked to this runtime."""
    site = pathlib.Path(pytest.__file__).parents[1]  # crt/ is the compiler's, which Triton has a copy of
    crt = site / "triton" / "backends" / "nvidia" / "include"
    library = folder / f"extension-{name}.so"
    subprocess.run(["gcc", "-O1", "-Wall", "-shared", "-fPIC", f'-DSYMBOL="{SYMBOL}"', "-isystem",
                    SOFTGPU / f"cuda-{version}" / "include", f"-idirafter{crt}", PROGRAMS / "extension.c", runtime,
                    f"-Wl,-rpath,{runtime.parent}", "-lm", "-o", library], check=True)  # fmt: skip
    return library


def second_copy(folder):
    """The runtime of the wheel's version under another name, as torchvision's wheel carries one."""
    objects = [path for part in ("_objects", "_ptsz", "")
               for path in (SOFTGPU / "CMakeFiles" / f"softgpu_cudart_{OURS}{part}.dir").rglob("*.o")]  # fmt: skip
    node = RUNTIMES[OURS].name.split(".so.")[1]
    copy = folder / f"libcudart.3eda8113.so.{node}"
    subprocess.run(["gcc", "-shared", *objects, "-ldl", "-lpthread", f"-Wl,-soname,{copy.name}",
                    f"-Wl,--version-script={SOFTGPU}/softgpu_cudart_{OURS}/stubs.map", "-o", copy],
                   check=True)  # fmt: skip
    return copy


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    built = {version.split(".")[0]: extension(folder, version.split(".")[0], version, runtime)
             for version, runtime in RUNTIMES.items()}  # fmt: skip
    return built | {"copy": extension(folder, "copy", OURS, second_copy(folder)),
                    "deep": extension(folder, "deep", OURS, RUNTIMES[OURS])}  # fmt: skip


@pytest.mark.parametrize("order", ["l:copy torch l:11 g:12 l:13 d:deep", "g:13 l:12 torch l:copy g:11 d:deep"])
def test_runtimes_of_every_version_beside_pytorchs(run, libraries, order):
    """Nothing but fuseln is preloaded. An extension that RTLD_DEEPBIND loads is not seen, and works."""
    what = [part if part == "torch" else f"{part[:2]}{libraries[part[2:]]}" for part in order.split()]
    at = what.index("torch")
    what.insert(at, f"l:{RUNTIMES[OURS]}")  # in place of the wheel's own, which the software device has no driver for
    said = {}
    for mode in ("alone", "observe", "replace"):
        preload = "" if mode == "alone" else FUSELN
        done = run.program(["env", f"LD_PRELOAD={preload}", sys.executable, "-c", HOST, *what],
                           env={"FUSELN_MODE": "replace" if mode == "alone" else mode})  # fmt: skip
        assert done.stderr == ""
        said[mode] = done.stdout
    assert said["observe"] == said["alone"]  # each original reached the runtime that knows its kernel
    assert said["alone"].count("errors 0") == 3 * 5 and said["alone"].count("True") == 3
    assert all(float(error) < 1 for error in re.findall(r"error ([\d.]+)", said["replace"]))
    words = re.compile(r"error [\d.]+")
    assert words.sub("", said["replace"]) == words.sub("", said["alone"])
    check_sums(run.report())
    counted = {site["library"]: (site["launches"], site["substituted"]) for site in run.report()["sites"]}
    names = {libraries[part[2:]].name for part in order.split() if part[1:2] == ":" and part[0] != "d"}
    assert counted == {name: (3, 3) for name in names | {"libtorch_cuda.so"}}


CHILDREN = """
import json, os, signal, torch, torch.multiprocessing
def launch(times):
    x = torch.randn(8, 64).cuda()
    for _ in range(times):
        torch.nn.functional.layer_norm(x, (64,))
def nothing(): torch.nn.functional.layer_norm(torch.randn(8, 64), (64,))
def one(): launch(1)
def killed(): launch(1); os.kill(os.getpid(), signal.SIGKILL)
def grandchild(): start(one); launch(1)
def start(*targets):
    children = [torch.multiprocessing.get_context("fork").Process(target=target) for target in targets]
    for child in children: child.start()
    for child in children: child.join(); print(child.exitcode, flush=True)
start(nothing, one, killed, grandchild)
launch(3)
"""


def test_forked_children_that_launch_have_a_report_each_and_others_none(run, tmp_path):
    """CUDA starts in the children, after the fork. Those of multiprocessing end by os._exit."""
    done = run(CHILDREN, env={"FUSELN_REPORT": "%p.json"})
    assert (done.stdout.split(), done.stderr) == (run(CHILDREN, fuseln=False).stdout.split(), "")
    files = sorted(tmp_path.glob("*.json"))
    for file in files:
        check_sums(json.loads(file.read_text()))
    assert sorted(json.loads(file.read_text())["totals"]["substituted"] for file in files) == [1, 1, 1, 1, 3]
    merged = subprocess.run([COMMAND, "report", "--json", *files], capture_output=True, text=True, check=True).stdout
    assert json.loads(merged)["totals"]["substituted"] == 7


LOADER = """
import torch
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, i): return torch.nn.functional.layer_norm(torch.arange(64.0) + i, (64,))
for batch in torch.utils.data.DataLoader(Rows(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
    torch.nn.functional.layer_norm(batch.cuda(), (64,))
    print(batch.sum().item())
"""


def test_workers_of_a_data_loader_are_quiet(run, tmp_path):
    done = run(LOADER, env={"FUSELN_REPORT": "%p.json"})
    assert done.stderr == ""
    (report,) = tmp_path.glob("*.json")
    assert json.loads(report.read_text())["totals"]["substituted"] == 2
    assert done.stdout == run(LOADER, fuseln=False).stdout
