# SPDX-License-Identifier: Apache-2.0
"""Other libraries that people preload, before and behind fuseln: each works as it does without fuseln, and fuseln
replaces and reports what it does alone.

torch_memory_saver serves cudaMalloc and cudaFree from memory of its own; jemalloc and mimalloc replace the process's
malloc; libfaketime changes its clocks, libstdbuf its standard streams.
"""

import glob
import json
import pathlib
import sys
import time

import pytest
from conftest import check_sums, Runner

SAVER = pathlib.Path(sys.prefix).parent / "torch_memory_saver-0.0.10"
SAVER_LIBRARY = SAVER / "torch_memory_saver_hook_mode_preload_cu13.abi3.so"  # the other one needs CUDA 12
DAYS_AGO = 400
ENV = {
    "SOFTGPU_SMS": "2",  # then 40 rows have partial sums
    "PYTHONPATH": str(SAVER),
    "FAKETIME": f"-{DAYS_AGO}d",
    "_STDBUF_O": "L",
    "PYTHONUNBUFFERED": "",  # which changes the streams of C too
}
NAMES = ["jemalloc", "mimalloc", "libfaketime", "libstdbuf", "torch_memory_saver"]
STEPS, NORMS = 6, 4

# Trains three times two steps. With the memory saver, the weights leave the device in between and come back, and the
# contents of the cache are lost.
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

losses, memory, lost = [], [], []
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
        lost.append(cache.cpu().isnan().all().item())
        cache.fill_(1)
assert addresses == [p.data_ptr() for p in model.parameters()]
del cache, model, optimizer
if saver:
    saver._impl._mem_pools.clear()
gc.collect()
torch.cuda.empty_cache()
device_memory()
ctypes.CDLL(None).printf(b"a line\\n")
outcome = {"losses": losses, "memory": memory, "lost": lost, "found": [name for name in NAMES if mapped(name)]}
os.write(1, (json.dumps(outcome | {"time": time.time()}) + "\\n").encode())
"""


def library(pattern):
    found = sorted(glob.glob(f"/usr/lib/*/{pattern}") + glob.glob(f"/usr/libexec/{pattern}"))
    assert found, f"{pattern} is missing: tools/test.sh installs it"
    return found[0]


# Neighbours in one process. jemalloc and libfaketime are apart: together they hang, also without fuseln.
GROUPS = {
    "jemalloc": ["libjemalloc.so.2", "coreutils/libstdbuf.so"],
    "mimalloc": ["libmimalloc.so.[0-9]*", "faketime/libfaketime.so.1"],
}


class Outcome:
    """One run of TRAIN: what it printed, and the report, whose path may hold an older one before."""

    def __init__(self, run, older=None, env=None, **options):
        path = run.folder / "outcome.json"
        if older:
            path.write_text(json.dumps(older))
        env = ENV | {"FUSELN_REPORT": str(path)} | (env or {})
        done = run(TRAIN, cpu_ops=True, env=env, timeout=150, **options)
        lines = done.stdout.splitlines()
        self.line_by_line = lines[0] == "a line"  # else it waited in a buffer until the end
        (outcome,) = (json.loads(line) for line in lines if line != "a line")
        self.__dict__ |= outcome
        assert done.stderr == ""
        self.report = json.loads(path.read_text()) if path.exists() else None
        assert list(run.folder.iterdir()) == [path] * path.exists()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    outcome = Outcome(Runner(tmp_path_factory.mktemp("alone")))
    assert outcome.found == [] and not outcome.line_by_line
    assert abs(outcome.time - time.time()) < 3600
    check_sums(outcome.report)
    totals = outcome.report["totals"]
    assert totals["substituted"] == totals["recognised"] == totals["launches"]
    assert sum(site["launches"] for site in outcome.report["sites"] if site["op"] == "forward") == STEPS * NORMS
    assert totals["pairs"] == STEPS * (NORMS - 1)  # the first norm's input has no gradient
    return outcome


@pytest.fixture(scope="module")
def saver_alone(tmp_path_factory):
    return Outcome(Runner(tmp_path_factory.mktemp("saver")), fuseln=False, before=[SAVER_LIBRARY])


def sites(report):
    """What identifies each site, and how often it was launched and replaced."""
    keys = "target", "cols", "rows", "kernel", "launches", "substituted", "passed_through"
    return sorted(str([site[key] for key in keys]) for site in report["sites"])


def check_as_alone(outcome, alone):
    assert outcome.losses == alone.losses
    check_sums(outcome.report)
    assert sites(outcome.report) == sites(alone.report)


@pytest.mark.parametrize("side", ["before", "behind"])
def test_torch_memory_saver_pauses_and_resumes(run, alone, saver_alone, side):
    outcome = Outcome(run, **{side: [SAVER_LIBRARY]})
    assert outcome.found == ["torch_memory_saver"]
    check_as_alone(outcome, alone)
    assert outcome.losses == pytest.approx(saver_alone.losses, rel=1e-5)
    # It mapped, unmapped and freed the same; fuseln's own memory (partial sums) is not paused.
    ((ours, _),) = alone.memory
    assert outcome.memory == [[used + ours, mapped] for used, mapped in saver_alone.memory]
    assert saver_alone.memory[1] == saver_alone.memory[-1] == [0, 0] and saver_alone.memory[0][1] == 2
    assert outcome.lost == saver_alone.lost == [True] * 3
    totals, expected = outcome.report["totals"], alone.report["totals"]
    if side == "before":
        assert totals["pairs"] == expected["pairs"]
    else:  # it looks up the runtime's cudaFree and may call it unseen: nothing is paired from then on
        assert totals["pairs"] + totals["unpaired"]["unseen"] == expected["pairs"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("side", ["before", "behind"])
def test_malloc_clocks_and_streams_of_others(run, alone, group, side):
    libraries = [library(name) for name in GROUPS[group]]
    outcome = Outcome(run, alone.report, **{side: libraries})
    assert outcome.report["process"] != alone.report["process"]
    assert 0 < outcome.report["process"]["seconds"] < 300
    assert outcome.found == [name for name in NAMES if any(name in path for path in libraries)]
    assert outcome.line_by_line == ("libstdbuf" in outcome.found)
    assert abs(time.time() - outcome.time - ("libfaketime" in outcome.found) * DAYS_AGO * 86400) < 3600
    check_as_alone(outcome, alone)
    assert outcome.report["totals"]["pairs"] == alone.report["totals"]["pairs"]


def test_pytorch_maps_memory_itself(run, alone):
    outcome = Outcome(run, count=True, env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"})
    check_as_alone(outcome, alone)
    assert outcome.memory == alone.memory
