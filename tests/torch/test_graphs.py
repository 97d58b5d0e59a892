# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: LayerNorm and RMSNorm modules, forward and backward, captured in each of PyTorch's ways and replayed
with changed inputs and weights. Partial sums have memory that belongs to the graph."""

import pathlib

import pytest
from conftest import check_sums

# Every replay is held against float64 and, bit by bit, against the same step outside of a graph. Fewer than 64
# roundings lie between inputs and a result (64 columns and 20 rows, summed in float), each at most 2^-24 of the largest
# value.
PROGRAM = """
import torch
from torch.nn import functional as F
torch.manual_seed(0)
x, dy = torch.randn(ROWS, 64).cuda().requires_grad_(), torch.randn(ROWS, 64).cuda()

def norm(x, weight, bias=None, *, rms):
    return F.rms_norm(x, (64,), weight, 1e-5) if rms else F.layer_norm(x, (64,), weight, bias)
def gradients(y, x, parameters, dy):
    return [y, *torch.autograd.grad(y, [x, *parameters], dy)]
def eager(module, device, dtype):
    x_, dy_, *parameters = (t.detach().to(device).to(dtype).requires_grad_() for t in (x, dy, *module.parameters()))
    y = norm(x_, *parameters, rms=isinstance(module, torch.nn.RMSNorm))
    return [t.detach() for t in gradients(y, x_, parameters, dy_)]

def step(module):
    return gradients(module(x), x, list(module.parameters()), dy)
def by_cuda_graph(module):
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        graph.capture_begin()
        outputs = step(module)
        graph.capture_end()
    return lambda: graph.replay() or outputs
def by_context(module):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step(module)
    return lambda: graph.replay() or outputs
def by_callables(module):
    graphed = torch.cuda.make_graphed_callables(module, (x,), num_warmup_iters=1)
    return lambda: step(graphed)

for module in (torch.nn.LayerNorm(64).cuda(), torch.nn.RMSNorm(64, eps=1e-5).cuda()):
    if WARM:
        step(module)
    replay = by_WAY(module)
    for _ in range(3):
        with torch.no_grad():
            for tensor in (x, dy, *module.parameters()):
                tensor.copy_(torch.randn(tensor.shape))
        outputs = [t.detach().cpu() for t in replay()]
        for got, exact in zip(outputs, eager(module, "cpu", torch.float64), strict=True):
            assert (got.double() - exact).abs().max() <= 2.0**-24 * 64 * exact.abs().max()
        if WARM:
            for got, outside in zip(outputs, eager(module, "cuda", torch.float32), strict=True):
                assert torch.equal(got, outside.cpu())
"""


def capture(run, way, rows=20, warm=True):
    """{(op, RMS norm?): (launches replaced, launches passed on)}, and the report. One multiprocessor: above 4 rows the
    sums of gamma and beta need scratch memory."""
    code = PROGRAM.replace("WAY", way).replace("ROWS", str(rows)).replace("WARM", str(warm))
    run(code, env={"SOFTGPU_SMS": "1"})
    report = run.report()
    check_sums(report)
    sites = {(site["op"], site["rms"]): (site["substituted"], site["passed_through"]) for site in report["sites"]}
    return sites, report


OPS = [(op, rms) for op in ("forward", "dx", "dgamma") for rms in (False, True)]


@pytest.mark.parametrize("way, before", [("cuda_graph", 1), ("context", 1), ("callables", 2)])
def test_a_captured_module_replays_right_and_its_backward_is_a_pair(run, way, before):
    """before: steps before the capture."""
    sites, report = capture(run, way)
    outside = before + 3
    assert sites == dict.fromkeys(OPS, (outside + 1, {}))
    assert (report["totals"]["pairs"], report["totals"]["unpaired"]) == (2 * (outside + 1), {})


def test_sums_of_few_rows_are_replaced_in_a_graph(run):
    sites, _ = capture(run, "context", rows=4)
    assert sites == dict.fromkeys(OPS, (5, {}))


def test_what_never_ran_before_the_capture_stays_with_the_original(run):
    """No kernel of ours has run, so none may be loaded."""
    for rows in (4, 20):
        sites, _ = capture(run, "context", rows, warm=False)
        assert sites == dict.fromkeys(OPS, (0, {"capture": 1}))


# The pairs of each case: those that it captures, and those of its checks.
CASES = {
    "graph_destroyed_before_its_executable": 5 + 16,
    "clone": 2 + 4,
    "child_graph": 2 + 4,
    "updated_from_a_second_capture": 3 + 6,
    "update_that_fails": 3 + 6,
    "destroyed_in_flight": 5 + 1 + 6,
    "invalidated": 2 + 2,
    "two_streams_of_one_capture": 4 + 8,
    "two_graphs_at_once": 4 + 4,
    "dependencies_set_by_the_program": 2 + 4,
    "abandoned": 1 + 2,
    "into_a_graph": 1,
}
HELD = 5 * (64 << 10)  # of three streams, and of the two graphs that are there at once


@pytest.mark.parametrize("seed", [None, 1, 3])
def test_what_may_become_of_a_captured_pair(run, seed):
    """After a capture into a graph, which is last, there are no pairs in captures."""
    program = str(pathlib.Path(__file__).with_name("graphs.py"))
    done = run([program, *CASES], seed=seed, env={"SOFTGPU_SMS": "1"})
    assert done.stdout.split() == list(CASES)
    report = run.report()
    check_sums(report)
    assert report["totals"]["pairs"] == 2 + sum(CASES.values())
    if seed is None:  # else some destructors have not run yet
        assert report["devices"][0]["scratch_bytes"] == HELD
    assert report["totals"]["unpaired"] == report["totals"]["reasons"] == {"capture": 1}


def test_without_memory_a_capture_is_valid_and_its_sums_are_the_originals(run):
    program = str(pathlib.Path(__file__).with_name("graphs.py"))
    run([program, "without_memory"], env={"SOFTGPU_SMS": "1", "SOFTGPU_MEMORY": str(64 << 20)})
    totals = run.report()["totals"]
    assert (totals["unpaired"], totals["reasons"]) == ({"scratch": 1}, {"capture": 1})


MANY = """
import torch
torch.manual_seed(0)
x, dy = torch.randn(ROWS, 64).cuda().requires_grad_(), torch.randn(ROWS, 64).cuda()
norms = [torch.nn.LayerNorm(64).cuda() for _ in range(24)]
def chain(x):
    for norm in norms:
        x = norm(x)
    return x
def gradients(y, *parameters):
    return torch.autograd.grad(y, [x, *parameters], dy)
def check(replayed, outside):
    for one, other in zip(replayed, outside, strict=True):
        if ALL:
            assert torch.equal(one.cpu(), other.cpu())
        else: # some sums are the original's, with as many roundings
            assert (one.cpu() - other.cpu()).abs().max() <= 2.0**-23 * 64 * one.cpu().abs().max()
"""
ONE_GRAPH = """
parameters = [p for norm in norms for p in norm.parameters()]
outside = gradients(chain(x), *parameters)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    captured = gradients(chain(x), *parameters)
for _ in range(2):
    graph.replay()
    check(captured, outside)
"""
GRAPHS = """
graphed = torch.cuda.make_graphed_callables(tuple(norms), ((x,),) * 24, num_warmup_iters=1)
results = [ours(x) for ours in graphed]
for ours, result in reversed(list(zip(graphed, results))):  # in the order of their captures
    norm = torch.nn.LayerNorm(64).cuda()
    check(gradients(result, *ours.parameters()), gradients(norm(x), *norm.parameters()))
"""


def pairs_of(run, code, rows, all=True, **env):
    """Pairs, those refused for want of FUSELN_SCRATCH, bytes held, and what FUSELN_SCRATCH must be by the report."""
    run(MANY.replace("ROWS", str(rows)).replace("ALL", str(all)) + code, env=env, timeout=600)
    report = run.report()
    check_sums(report)
    totals, (device,) = report["totals"], report["devices"]
    assert set(totals["unpaired"]) <= {"scratch"}
    refused = totals["unpaired"].get("scratch", 0)
    return totals["pairs"], refused, device["scratch_bytes"], device["scratch_wanted_bytes"]


def test_a_captured_backward_of_24_norms_holds_one_slab(run):
    """192 KiB for 264 partial rows of 2 x 64 floats: one slab of the stream, one of the graph."""
    assert pairs_of(run, ONE_GRAPH, 2200) == (24 + 24, 0, 2 * (192 << 10), 0)


def test_the_report_names_the_scratch_that_pairs_all_of_24_graphs(run):
    """Each graph is a capture of its own: 24 pairs of the warm-up's stream, 24 captured, 24 of the checks' stream. With
    one multiprocessor a slab has 64 KiB: one for each of these streams, one for each graph."""
    slab = 64 << 10
    assert pairs_of(run, GRAPHS, 20, SOFTGPU_SMS="1") == (24 + 24 + 24, 0, 26 * slab, 0)
    few = pairs_of(run, GRAPHS, 20, all=False, SOFTGPU_SMS="1", FUSELN_SCRATCH="640K")
    assert few == (24 + 9, 15 + 24, 10 * slab, 26 * slab)
    enough = f"{few[3] >> 10}K"
    assert pairs_of(run, GRAPHS, 20, SOFTGPU_SMS="1", FUSELN_SCRATCH=enough) == (24 + 24 + 24, 0, 26 * slab, 0)
