# SPDX-License-Identifier: Apache-2.0
"""Other libraries that people preload, before and behind fuseln: each finds what it would find without fuseln, and fuseln
replaces and reports what it does alone.

torch_memory_saver gives memory of its own for cudaMalloc and takes it back in cudaFree; jemalloc and mimalloc are the
process's malloc; libfaketime changes its clocks, libstdbuf its standard streams.
"""

import glob
import json
import pathlib
import sys
import time

import pytest
from conftest import check_sums, Runner

SAVER = pathlib.Path(sys.prefix).parent / "torch_memory_saver-0.0.10"
SAVER_LIBRARY = SAVER / "torch_memory_saver_hook_mode_preload_cu13.abi3.so"  # its other one wants the runtime of CUDA 12
DAYS_AGO = 400
ENV = {
    "SOFTGPU_SMS": "2",  # then 40 rows are many, and pairs are made
    "PYTHONPATH": str(SAVER),
    "FAKETIME": f"-{DAYS_AGO}d",
    "_STDBUF_O": "L",
    "PYTHONUNBUFFERED": "",  # which changes the streams of C too
}
NAMES = ["jemalloc", "mimalloc", "libfaketime", "libstdbuf", "torch_memory_saver"]
STEPS, NORMS = 6, 4

# Trains three times two steps. Where the memory saver is, the weights leave the device in between and come back, and the
# cache leaves and is forgotten.
TRAIN = f"NAMES = {NAMES}" + """
import contextlib, ctypes, gc, json, os, time
import torch
from torch import nn

def mapped(name):
    with open("/proc/self/maps") as maps:
        return sum(name in line for line in maps)

def device_memory():
    free, total = torch.cuda.mem_get_info()
    memory.append([total - free, mapped("memfd:softgpu")])

saver = None
if mapped("torch_memory_saver"):
    from torch_memory_saver import torch_memory_saver as saver

def region(**options):
    return saver.region(**options) if saver else contextlib.nullcontext()

losses, memory, forgotten = [], [], []
torch.manual_seed(0)
generator = torch.Generator().manual_seed(1)
model = nn.Sequential(*[layer for _ in range(3) for layer in (nn.LayerNorm(64), nn.Linear(64, 64))], nn.LayerNorm(64))
with region(tag="model", enable_cpu_backup=True):
    model.cuda()
with region(tag="cache"):
    cache = torch.ones(3 << 20).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
addresses = [p.data_ptr() for p in model.parameters()]
for _ in range(3):
    for _ in range(2):
        loss = (model(torch.randn(40, 64, generator=generator).cuda()) - 1).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    del loss
    optimizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    if saver:
        device_memory()
        saver.pause()
        device_memory()
        saver.resume()
        device_memory()
        forgotten.append(cache.cpu().isnan().all().item())
        cache.fill_(1)
assert addresses == [p.data_ptr() for p in model.parameters()]
del cache, model, optimizer
if saver:
    saver._impl._mem_pools.clear()
gc.collect()
torch.cuda.empty_cache()
device_memory()
ctypes.CDLL(None).printf(b"a line\\n")
told = {"losses": losses, "memory": memory, "forgotten": forgotten, "found": [name for name in NAMES if mapped(name)]}
os.write(1, (json.dumps(told | {"time": time.time()}) + "\\n").encode())
"""


def library(pattern):
    found = sorted(glob.glob(f"/usr/lib/*/{pattern}") + glob.glob(f"/usr/libexec/{pattern}"))
    assert found, f"{pattern} is missing: tools/test.sh installs it"
    return found[0]


# Neighbours of one process. jemalloc and libfaketime are in two: beside each other they hang without fuseln too.
GROUPS = {
    "jemalloc": ["libjemalloc.so.2", "coreutils/libstdbuf.so"],
    "mimalloc": ["libmimalloc.so.[0-9]*", "faketime/libfaketime.so.1"],
}


class Told:
    """One run of TRAIN: what it printed, and the report, in whose place an older one may stand."""

    def __init__(self, run, older=None, env=None, **options):
        path = run.folder / "told.json"
        if older:
            path.write_text(json.dumps(older))
        env = ENV | {"FUSELN_REPORT": str(path)} | (env or {})
        done = run(TRAIN, cpu_ops=True, env=env, timeout=150, **options)
        lines = done.stdout.splitlines()
        self.line_by_line = lines[0] == "a line"  # else it waited in a buffer until the end
        (told,) = (json.loads(line) for line in lines if line != "a line")
        self.__dict__ |= told
        assert done.stderr == ""
        self.report = json.loads(path.read_text()) if path.exists() else None
        assert list(run.folder.iterdir()) == [path] * path.exists()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    told = Told(Runner(tmp_path_factory.mktemp("alone")))
    assert told.found == [] and not told.line_by_line
    assert abs(told.time - time.time()) < 3600
    check_sums(told.report)
    totals = told.report["totals"]
    assert totals["substituted"] == totals["recognised"] == totals["launches"]
    assert sum(site["launches"] for site in told.report["sites"] if site["op"] == "forward") == STEPS * NORMS
    assert totals["pairs"] == STEPS * (NORMS - 1)  # the first norm's input has no gradient
    return told


@pytest.fixture(scope="module")
def saver_alone(tmp_path_factory):
    return Told(Runner(tmp_path_factory.mktemp("saver")), fuseln=False, before=[SAVER_LIBRARY])


def sites(report):
    """What sites are told by, and how often each was launched and replaced."""
    keys = "target", "cols", "rows", "kernel", "launches", "substituted", "passed_through"
    return sorted(str([site[key] for key in keys]) for site in report["sites"])


def check_as_alone(told, alone):
    assert told.losses == alone.losses
    check_sums(told.report)
    assert sites(told.report) == sites(alone.report)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_torch_memory_saver_pauses_and_resumes(run, alone, saver_alone, place):
    told = Told(run, **{place: [SAVER_LIBRARY]})
    assert told.found == ["torch_memory_saver"]
    check_as_alone(told, alone)
    assert told.losses == pytest.approx(saver_alone.losses, rel=1e-5)
    # What it mapped, unmapped and freed is the same; fuseln's own memory (partial sums) stays where it is.
    ((ours, _),) = alone.memory
    assert told.memory == [[used + ours, mapped] for used, mapped in saver_alone.memory]
    assert saver_alone.memory[1] == saver_alone.memory[-1] == [0, 0] and saver_alone.memory[0][1] == 2
    assert told.forgotten == saver_alone.forgotten == [True] * 3
    totals, expected = told.report["totals"], alone.report["totals"]
    if place == "before":
        assert totals["pairs"] == expected["pairs"]
    else:  # it looks the runtime's cudaFree up, and may call it unseen: pairs are given up from then on
        assert totals["pairs"] + totals["unpaired"]["unseen"] == expected["pairs"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_malloc_clocks_and_streams_of_others(run, alone, group, place):
    libraries = [library(name) for name in GROUPS[group]]
    told = Told(run, alone.report, **{place: libraries})
    assert told.report["process"] != alone.report["process"]
    assert 0 < told.report["process"]["seconds"] < 300
    assert told.found == [name for name in NAMES if any(name in path for path in libraries)]
    assert told.line_by_line == ("libstdbuf" in told.found)
    assert abs(time.time() - told.time - ("libfaketime" in told.found) * DAYS_AGO * 86400) < 3600
    check_as_alone(told, alone)
    assert told.report["totals"]["pairs"] == alone.report["totals"]["pairs"]


def test_pytorch_maps_memory_itself(run, alone):
    told = Told(run, count=True, env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"})
    check_as_alone(told, alone)
    assert told.memory == alone.memory
