# SPDX-License-Identifier: Apache-2.0
"""dX and the gradients of gamma and beta from one read of dY and X: paired where nothing came between, with the same bits
as unpaired ones, and never from stale sums."""

import json
import os
import pathlib

import pytest
from conftest import check_sums

HERE = pathlib.Path(__file__).resolve().parent
# Cases of pairs.py in which sums are made twice.
TWICE = {"another_layer_norm", "the_same_layer_norm_twice", "an_exception", "a_stream_of_the_same_handle",
         "another_thread_records_an_event", "another_thread_waits"}  # fmt: skip


def both_ways(run, command, **options):
    """Checks that it prints the same bits with and without pairs; what it prints, and the report of the paired run."""
    env = options.pop("env", {})
    apart = run(command, env={**env, "FUSELN_SKIP": "pairs"}, **options).stdout
    totals = run.report()["totals"]
    assert totals["pairs"] == 0 and set(totals["unpaired"]) <= {"skip"}
    paired = run(command, env=env, **options).stdout
    assert paired == apart
    report = run.report()
    check_sums(report)
    return paired, report


@pytest.mark.parametrize("words, cpu_ops", [(["-add", "-matmul"], False), (["add", "matmul"], True)])
def test_sums_that_may_be_stale_are_not_used(run, words, cpu_ops):
    """The software device computes two of the operators on the CPU."""
    said, report = both_ways(run, [str(HERE / "pairs.py"), *words], cpu_ops=cpu_ops)
    check_stale(said, report)
    assert report["totals"]["passed_through"] == 0


def test_sums_that_may_be_stale_are_not_used_in_a_graph(run):
    """The sums of gamma and beta that are not paired there are the original's."""
    said, report = both_ways(run, [str(HERE / "pairs.py"), "--captured"])
    assert report["totals"]["reasons"] == {"capture": check_stale(said, report)}


def check_stale(said, report):
    """How many cases there were."""
    cases, totals = [line.split()[0] for line in said.splitlines()], report["totals"]
    assert cases and totals["pairs"] == 2 * len(cases)  # the two before each case
    assert sum(totals["unpaired"].values()) == len(cases) + len(TWICE & set(cases))  # sums were made each time
    assert set(totals["unpaired"]) <= {"launch", "call"}
    return len(cases)


PRELUDE = """
import hashlib, torch
from torch.nn import functional as F
torch.manual_seed(0)
def show(*tensors):
    print(*[hashlib.sha256(t.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()[:16] for t in tensors])
def leaf(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype).cuda().requires_grad_()
x, weight, bias, dy = leaf(2200, 64), leaf(64), leaf(64), torch.randn(2200, 64).cuda()
grad = torch.autograd.grad
"""


def test_pairs_have_the_bits_of_apart(run):
    code = f"""{PRELUDE}
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    for cols in (64, 100, 1023, 2048):
        x, weight, bias = (leaf(*shape, dtype=dtype) for shape in ((2200, cols), (cols,), (cols,)))
        dy = torch.randn(2200, cols).to(dtype).cuda()
        for _ in range(2):
            show(*grad(F.layer_norm(x, (cols,), weight, bias), [x, weight, bias], dy))
        show(*grad(F.layer_norm(x, (cols,), weight), [x, weight], dy))
        show(*grad(F.rms_norm(x, (cols,), weight, 1e-5), [x, weight], dy))
"""
    _, report = both_ways(run, code)
    assert (report["totals"]["pairs"], report["totals"]["unpaired"]) == (3 * 4 * 4, {})
    (device,) = report["devices"]
    assert 0 < device["scratch_bytes"] <= 32 << 20


def test_every_backward_of_a_training_step_is_a_pair(run):
    code = f"""{PRELUDE}
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = torch.nn.LayerNorm(64), torch.nn.Linear(64, 64)
    def forward(self, x):
        return x + torch.relu(self.linear(self.norm(x)))
model = torch.nn.Sequential(Block(), Block(), Block(), torch.nn.LayerNorm(64)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(3):
    optimizer.zero_grad()
    loss = (model(x) ** 2 - dy).square().mean()
    loss.backward()
    optimizer.step()
    show(loss)
show(*model.parameters())
"""
    _, report = both_ways(run, code, cpu_ops=True)
    assert (report["totals"]["pairs"], report["totals"]["unpaired"]) == (3 * 4, {})
    kernels = {site["op"]: site["kernel"] for site in report["sites"]}
    assert kernels["dgamma"].startswith("fuseln_ln_dgamma_reduce")


def test_what_autograd_is_asked_for(run):
    """Any subset of the gradients, in any order, twice, of second order, recomputed."""
    code = f"""{PRELUDE}
from torch.utils.checkpoint import checkpoint
def norm(x):
    return F.layer_norm(x, (64,), weight, bias)
for wanted in ([x], [weight], [bias], [weight, bias], [x, weight], [x, bias], [bias, x], [x, weight, bias]):
    show(*grad(norm(x), wanted, dy))
y = norm(x)
for _ in range(3):
    show(*grad(y, [x, weight, bias], dy, retain_graph=True))
    dy.copy_(dy.flip(0))
first = grad(norm(x), [x, weight, bias], dy, create_graph=True)
show(*grad(first[0].sum() + first[1].sum(), [x, weight]))
y = checkpoint(norm, x, use_reentrant=False)
show(*grad(y, [x, weight, bias], dy))
z = norm(norm(x))
show(*grad(z, [x, weight, bias], dy))
z = norm(x) + norm(x)
show(*grad(z, [x, weight, bias], dy))
"""
    _, report = both_ways(run, code, cpu_ops=True)
    assert report["totals"]["pairs"] >= 10


def test_a_site_whose_partner_does_not_come_learns_it_and_resumes(run):
    code = f"""{PRELUDE}
weight.requires_grad_(False), bias.requires_grad_(False)
for _ in range(10):
    show(*grad(F.layer_norm(x, (64,), weight, bias), [x], dy))
weight.requires_grad_(True), bias.requires_grad_(True)
for _ in range(5):
    show(*grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy))
"""
    _, report = both_ways(run, code)
    totals = report["totals"]
    assert totals["pairs"] == 4 and totals["unpaired"].pop("alone") == 8
    assert sum(totals["unpaired"].values()) == 3  # three tries; the one still pending is consumed or invalidated


def test_threads_with_a_stream_each_lose_no_pair(run):
    code = f"""{PRELUDE}
import threading
def work(number, out):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x, weight, bias, dy = parts[number]
        for _ in range(8):
            out[number] = grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy)
            stream.record_event().synchronize()
            out[number][0].to("cpu", non_blocking=True)
            stream.synchronize()
parts = [(leaf(2200, 64), leaf(64), leaf(64), torch.randn(2200, 64).cuda()) for _ in range(8)]
torch.cuda.synchronize()
out = [None] * 8
threads = [threading.Thread(target=work, args=(n, out)) for n in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
for tensors in out:
    show(*tensors)
"""
    _, report = both_ways(run, code)
    totals = report["totals"]
    assert (totals["pairs"], totals["unpaired"]) == (64, {})


def test_another_device_is_left_alone_but_not_by_a_copy_between_both(run):
    code = f"""{PRELUDE}
import ctypes, threading
cuda = ctypes.CDLL("libcuda.so.1")
mean_and_rstd = torch.ops.aten.native_layer_norm(x, [64], weight, bias, 1e-5)[1:]
def half(*mask):
    return torch.ops.aten.native_layer_norm_backward(dy, x.detach(), [64], *mean_and_rstd, weight, bias, mask)
def elsewhere(work):
    def there():
        with torch.cuda.device(1):
            work()
    half(True, False, False)
    thread = threading.Thread(target=there)
    thread.start(), thread.join()
    show(*half(False, True, True)[1:])
there = torch.zeros(2200, 64, device="cuda:1")
elsewhere(lambda: torch.cuda.synchronize(1))
elsewhere(lambda: torch.cuda.current_stream(1).record_event())
def copy():
    global copied
    copied = cuda.cuMemcpyDtoD_v2(*map(ctypes.c_uint64, (there.data_ptr(), dy.data_ptr(), 2200 * 64 * 4))) == 0
elsewhere(copy)
assert copied
"""
    _, report = both_ways(run, code, env={"SOFTGPU_DEVICES": "2"})
    assert (report["totals"]["pairs"], report["totals"]["unpaired"]) == (2, {"call": 1})


@pytest.mark.parametrize("env", [{"FUSELN_HOOKS": "runtime"}, {"FUSELN_SCRATCH": "4K"}, {"SOFTGPU_MEMORY": "4300000"}])
def test_switched_off_by_what_is_missing(run, env):
    """Without a boundary, without leave to allocate, or without memory there is no pair, and no error."""
    code = f"{PRELUDE}\nshow(*grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy))"
    reason = "unseen" if "FUSELN_HOOKS" in env else "scratch"
    plain = run(code, env={"FUSELN_SKIP": "pairs" + (",dgamma" if reason == "scratch" else "")}).stdout
    assert run(code, env=env).stdout == plain
    totals = run.report()["totals"]
    assert (totals["pairs"], totals["unpaired"]) == (0, {reason: 1})


def test_a_runtime_function_that_is_looked_up_switches_pairing_off(run):
    code = f"""{PRELUDE}
import ctypes
for function in ("cudaGetDevice", "cudaMemset"):
    getattr(ctypes.CDLL("libcudart.so.13"), function)
    show(*grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy))
"""
    done = run(code, env={"FUSELN_LOG": "info"})
    totals = run.report()["totals"]
    assert (totals["pairs"], totals["unpaired"]) == (1, {"unseen": 1})
    assert done.stderr.count("no pairs of dX with the gradients of gamma and beta: cudaMemset is used") == 1


def test_random_programs_on_a_device_that_delays_work(run):
    """tests/mutants/rules.py shows that these fail where a rule is missing."""
    count = int(os.environ.get("RANDOM_PROGRAMS", "200"))  # --all: 500
    env = {"SOFTGPU_SMS": "2", "RANDOM_PROGRAMS": str(count)}
    done = run([str(HERE / "random_programs.py")], seed=1, env=env, timeout=1200)
    assert done.stdout == f"{count} programs\n"
    totals = run.report()["totals"]
    assert totals["passed_through"] == 0
    assert totals["pairs"] > 10 * count and min(totals["unpaired"][why] for why in ("launch", "call")) > count


@pytest.mark.parametrize("dtype, size", [("float32", 4), ("bfloat16", 2)])
def test_a_pair_reads_dy_and_x_once(run, tmp_path, dtype, size):
    log, rows, cols = tmp_path / "log", 2200, 1024
    code = f"""{PRELUDE}
x, weight, bias = (leaf(*shape, dtype=torch.{dtype}) for shape in (({rows}, {cols}), ({cols},), ({cols},)))
dy = torch.randn({rows}, {cols}).to(torch.{dtype}).cuda()
grad(F.layer_norm(x, ({cols},), weight, bias), [x, weight, bias], dy)
torch.cuda.synchronize()
"""
    run(code, count=True, env={"SOFTGPU_LOG": str(log)})
    assert run.report()["totals"]["pairs"] == 1
    launches = [json.loads(line) for line in log.read_text().splitlines()]
    forward, dx, reduce = [line for line in launches if line["kind"] == "ours"]
    assert forward["read"]["accesses"][:4] == [0] * 4  # nothing narrower than 16 bytes
    assert forward["written"]["bytes"] == forward["written"]["compulsory"]
    tensor = rows * cols * size
    parts = dx["grid"][0] * cols * 4 * 2
    assert dx["read"]["compulsory"] == 2 * tensor + cols * size + 2 * rows * 4  # dY, X, gamma, mean, rstd
    assert dx["written"]["bytes"] == dx["written"]["compulsory"] == tensor + parts
    assert reduce["read"]["compulsory"] == parts
    assert reduce["written"]["bytes"] == 2 * cols * size
    everything = sum(k[way]["compulsory"] for k in (dx, reduce) for way in ("read", "written"))
    assert everything == 3 * tensor + 2 * parts + 3 * cols * size + 2 * rows * 4


def test_a_reduction_may_start_early_on_a_stream_of_its_own(run, tmp_path):
    """On devices of compute capability 9.0 and later; never on the default stream, never captured; the same bits."""
    code = f"""{PRELUDE}
def work():
    show(*grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy))
    show(*grad(F.layer_norm(x.detach(), (64,), weight, bias), [weight, bias], dy))
work()
with torch.cuda.stream(torch.cuda.Stream()):
    work()
    torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    captured = grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy)
graph.replay()
torch.cuda.synchronize()
"""
    said = []
    for number, (capability, early) in enumerate((("9.0", 2), ("8.0", 0), ("9.0", 2))):
        log = tmp_path / f"log{number}"
        options = {"seed": 1} if number == 2 else {}
        said.append(run(code, env={"SOFTGPU_LOG": str(log), "SOFTGPU_CC": capability}, **options).stdout)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        reductions = [line for line in lines if "_dgamma_reduce_" in line["name"]]
        assert len(reductions) >= 4 and len({line["stream"] for line in reductions}) >= 2
        started = [line for line in lines if line.get("programmatic")]
        assert len(started) == early and all(line in reductions for line in started)
    lines = said[0].splitlines()
    assert lines[:2] == lines[2:] and said[2] == said[0]
