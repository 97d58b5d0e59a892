# SPDX-License-Identifier: Apache-2.0
"""What may become of a captured backward; run on the software device by test_graphs.py.

    graphs.py CASE...

Each case captures backwards, replays them with changed dY, and holds each replay, bit by bit, against the same outside
of a graph. Graphs are made by the driver, streams by PyTorch. Prints the name of each case that passed."""

import ctypes
import sys

import torch

ROWS, COLS = 20, 64  # with one multiprocessor enough rows for partial sums
RELAXED, GLOBAL = 2, 0
cuda = ctypes.CDLL("libcuda.so.1")
torch.manual_seed(0)
weight, bias = torch.randn(COLS).cuda(), torch.randn(COLS).cuda()
streams = [torch.cuda.Stream() for _ in range(2)]
alive = []  # nothing that a graph uses may be given to another tensor


def call(function, *arguments):
    values = [ctypes.c_void_p(v.cuda_stream) if isinstance(v, torch.cuda.Stream) else v for v in arguments]
    return getattr(cuda, function)(*values)


def made(function, *arguments, last=False):
    """What the function writes to its first argument, or its last one."""
    value = ctypes.c_void_p()
    given = [*arguments, ctypes.byref(value)] if last else [ctypes.byref(value), *arguments]
    assert call(function, *given) == 0, function
    return value


class Norm:
    """dX, and dgamma and dbeta, launched one after the other by this thread."""

    def __init__(self):
        self.x, self.dy = torch.randn(ROWS, COLS).cuda(), torch.randn(ROWS, COLS).cuda()
        self.mean, self.rstd = torch.ops.aten.native_layer_norm(self.x, [COLS], weight, bias, 1e-5)[1:]
        alive.append(self)

    def gradients(self):
        return torch.ops.aten.native_layer_norm_backward(
            self.dy, self.x, [COLS], self.mean, self.rstd, weight, bias, [True, True, True]
        )

    def backward(self, stream=None):
        with torch.cuda.stream(stream or streams[0]):
            self.out = self.gradients()
        alive.append(self.out)

    def change(self):
        self.dy.copy_(torch.randn(ROWS, COLS))

    def check(self):
        for replayed, outside in zip(self.out, self.gradients(), strict=True):
            assert torch.equal(replayed.cpu(), outside.cpu())


def begin(mode=RELAXED):
    torch.cuda.synchronize()
    assert call("cuStreamBeginCapture_v2", streams[0], mode) == 0


def end():
    return made("cuStreamEndCapture", streams[0], last=True)


def captured(*norms):
    begin()
    for norm in norms:
        norm.backward()
    return end()


def destroy(graph):
    assert call("cuGraphDestroy", graph) == 0


def executable(graph, keep=False):
    each = made("cuGraphInstantiateWithFlags", graph, ctypes.c_uint64(0))
    if not keep:
        destroy(graph)
    return each


def destroy_executable(*executables):
    for each in executables:
        assert call("cuGraphExecDestroy", each) == 0


def launch(each, stream=None):
    assert call("cuGraphLaunch", each, stream or streams[1]) == 0


def replay(each, *norms):
    for _ in range(2):
        for norm in norms:
            norm.change()
        torch.cuda.synchronize()
        launch(each)
        torch.cuda.synchronize()
        for norm in norms:
            norm.check()


def replay_apart(each, norm):
    """Where the sums are the original's: as many roundings, in another order."""
    norm.change()
    torch.cuda.synchronize()
    launch(each)
    torch.cuda.synchronize()
    for replayed, outside in zip(norm.out, norm.gradients(), strict=True):
        replayed, outside = replayed.cpu(), outside.cpu()
        assert (replayed - outside).abs().max() <= 2.0**-23 * COLS * outside.abs().max()
    destroy_executable(each)


def graph_destroyed_before_its_executable():
    norms = Norm(), Norm(), Norm()
    replay(each := executable(captured(*norms)), *norms)
    replay(again := executable(captured(*(others := (Norm(), Norm())))), *others)
    replay(each, *norms)
    destroy_executable(each, again)


def replay_alone(graph, norm):
    """What it was made from is gone; another capture may take the sums; then the graph is gone, too."""
    other = executable(captured(Norm()))
    replay(each := executable(graph, keep=True), norm)
    destroy(graph)
    replay(each, norm)
    destroy_executable(each, other)


def clone():
    norm = Norm()
    graph = captured(norm)
    copy = made("cuGraphClone", graph)
    destroy(graph)
    replay_alone(copy, norm)


def child_graph():
    norm = Norm()
    child, parent = captured(norm), made("cuGraphCreate", 0)
    made("cuGraphAddChildGraphNode", parent, None, ctypes.c_size_t(0), child)
    destroy(child)
    replay_alone(parent, norm)


def updated_from_a_second_capture():
    old, new = Norm(), Norm()
    replay(each := executable(captured(old)), old)
    second = captured(new)
    launch(each)  # still under way, perhaps
    assert call("cuGraphExecUpdate_v2", each, second, (ctypes.c_char * 64)()) == 0
    destroy(second)
    other = executable(captured(third := Norm()))
    replay(each, new)
    replay(other, third)
    destroy_executable(each, other)


def update_that_fails():
    old, new = Norm(), (Norm(), Norm())
    each, second = executable(captured(old)), captured(*new)
    assert call("cuGraphExecUpdate_v2", each, second, (ctypes.c_char * 64)()) == 910
    replay(each, old)
    destroy_executable(each)
    replay(each := executable(second), *new)
    destroy_executable(each)


def destroyed_in_flight():
    norms = [Norm() for _ in range(4)]
    other = Norm()
    each = executable(captured(*norms))
    launch(each)
    destroy_executable(each)
    other.backward(streams[0])  # may take what the graph had
    again = executable(captured(third := Norm()))
    launch(again, streams[0])
    torch.cuda.synchronize()
    for norm in (*norms, other, third):
        norm.check()
    destroy_executable(again)


def invalidated():
    norm = Norm()
    begin(GLOBAL)
    norm.backward()
    assert call("cuStreamSynchronize", streams[0]) == 900
    assert call("cuStreamEndCapture", streams[0], ctypes.byref(ctypes.c_void_p())) == 901
    replay(each := executable(captured(norm)), norm)
    destroy_executable(each)


def two_streams_of_one_capture():
    norms = [Norm() for _ in range(4)]
    begin()
    streams[1].wait_stream(streams[0])
    for norm, stream in zip(norms, streams * 2):
        norm.backward(stream)
    streams[0].wait_stream(streams[1])
    each = executable(end())
    replay(each, *norms)
    destroy_executable(each)


def two_graphs_at_once():
    norms = [[Norm() for _ in range(2)] for _ in range(2)]
    both = [executable(captured(*some)) for some in norms]
    torch.cuda.synchronize()
    for each, stream in zip(both, streams):
        launch(each, stream)
    torch.cuda.synchronize()
    for norm in norms[0] + norms[1]:
        norm.check()
    destroy_executable(*both)


def dependencies_set_by_the_program():
    """Both pairs of the stream depend on nothing: they may run at once."""
    norms = Norm(), Norm()
    begin()
    norms[0].backward()
    assert call("cuStreamUpdateCaptureDependencies", streams[0], None, ctypes.c_size_t(0), 1) == 0
    norms[1].backward()
    each = executable(end())
    replay(each, *norms)
    destroy_executable(each)


def without_memory():
    """The device has none left: the original makes the sums, and the capture stays valid."""
    norm, taken = Norm(), []
    norm.backward()
    torch.cuda.synchronize()
    address = ctypes.c_uint64()
    while call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(32 << 10)) == 0:
        taken.append(address.value)
    each = executable(captured(norm))
    for address in taken:
        assert call("cuMemFree_v2", ctypes.c_uint64(address)) == 0
    replay_apart(each, norm)


def abandoned():
    """That capture does not end; the process does."""
    norm, other = Norm(), Norm()
    begin()
    norm.backward()
    other.backward(streams[1])
    torch.cuda.current_stream().wait_stream(streams[1])
    other.check()
    streams[0] = torch.cuda.Stream()


def into_a_graph():
    """As the body of a conditional node is captured: the original makes the sums, also later."""
    norm, graph = Norm(), made("cuGraphCreate", 0)
    torch.cuda.synchronize()
    assert call("cuStreamBeginCaptureToGraph", streams[0], graph, None, None, ctypes.c_size_t(0), RELAXED) == 0
    norm.backward()
    each = executable(end())
    replay_apart(each, norm)


kept = Norm()
torch.cuda.synchronize()
kept.backward(streams[1])  # each kernel of ours has run outside of a capture
torch.cuda.synchronize()
kept.check()
for name in sys.argv[1:]:
    globals()[name]()
    print(name, flush=True)
