# SPDX-License-Identifier: Apache-2.0
"""What may happen between the two halves of a backward; run on the software device by test_pairs.py.

    pairs.py CASE...    (none: every case)

Prints a line for each case: its name, the hashes of dX, dgamma and dbeta. Each case launches DX, does something, and
launches the gamma and beta gradients of the same tensors. Before it DX and they come one after the other, so that
partial sums are made, and after it their values must differ from those that stale sums would give."""

import ctypes
import gc
import hashlib
import sys
import threading

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ROWS, COLS = 2200, 64  # so many rows have partial sums
cuda = ctypes.CDLL("libcuda.so.1")
torch.manual_seed(0)
x, x2, first_dy, other_dy = (torch.randn(ROWS, COLS).cuda() for _ in range(4))
weight, bias = torch.randn(COLS).cuda().requires_grad_(), torch.randn(COLS).cuda().requires_grad_()
BYTES = ROWS * COLS * 4


def digest(*tensors):
    return [hashlib.sha256(t.detach().cpu().numpy().tobytes()).hexdigest()[:16] for t in tensors]


class Norm:
    """One layer norm and its gradient, whose two halves are asked for one at a time."""

    def __init__(self, source=x):
        self.x = source.clone().requires_grad_()
        self.dy = first_dy.clone()
        self.y = F.layer_norm(self.x, (COLS,), weight, bias)

    def dx(self):
        return torch.autograd.grad(self.y, self.x, self.dy, retain_graph=True)[0]

    def sums(self):
        return torch.autograd.grad(self.y, [weight, bias], self.dy, retain_graph=True)

    def both(self):
        return torch.autograd.grad(self.y, [self.x, weight, bias], self.dy, retain_graph=True)


CASES = {}


def case(function):
    """What happens between the halves; it returns what keeps things alive, if anything."""
    CASES[function.__name__] = function
    return function


@case
def copy(norm):
    norm.dy.copy_(other_dy)


@case
def zero(norm):
    norm.dy.zero_()


@case
def fill(norm):
    norm.dy.fill_(2)


@case
def add(norm):
    norm.dy.add_(1)


@case
def matmul(norm):
    torch.mm(other_dy, torch.eye(COLS).cuda(), out=norm.dy)


@case
def from_the_host(norm):
    norm.dy.copy_(other_dy.cpu())


@case
def change_x(norm):
    norm.x.data.copy_(x2)


@case
def driver_memset(norm):
    assert cuda.cuMemsetD32_v2(ctypes.c_uint64(norm.dy.data_ptr()), 0x3F800000, ctypes.c_size_t(BYTES // 8)) == 0


@case
def driver_copy(norm):
    addresses = ctypes.c_uint64(norm.dy.data_ptr()), ctypes.c_uint64(other_dy.data_ptr())
    assert cuda.cuMemcpyDtoD_v2(*addresses, ctypes.c_size_t(BYTES)) == 0


@case
def driver_copy_async(norm):
    addresses = ctypes.c_uint64(norm.dy.data_ptr()), ctypes.c_uint64(other_dy.data_ptr())
    assert cuda.cuMemcpyDtoDAsync_v2(*addresses, ctypes.c_size_t(BYTES), None) == 0


@case
def host_function(norm):
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    function = kind(lambda unused: ctypes.memmove(norm.dy.data_ptr(), other_dy.data_ptr(), BYTES) and None)
    assert cuda.cuLaunchHostFunc(None, function, None) == 0
    return function # alive until the values are here


@case
def another_thread(norm):
    thread = threading.Thread(target=lambda: norm.dy.copy_(other_dy))
    thread.start()
    thread.join()


@case
def another_stream_and_an_event(norm):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        norm.dy.fill_(3)
    torch.cuda.current_stream().wait_stream(stream)


@case
def another_layer_norm(norm):
    """Its DX on the same stream, by the same worker thread: sums of the last one only could be there."""
    other = Norm(x2)
    other.dx()
    norm.dy = norm.dy.clone()


@case
def the_same_layer_norm_twice(norm):
    norm.dx()
    norm.dy.copy_(other_dy)


@case
def freed_and_taken_again(norm):
    address = norm.dy.data_ptr()
    norm.dy = None
    gc.collect()
    torch.cuda.empty_cache()
    norm.dy = other_dy.clone()
    assert norm.dy.data_ptr() == address


@case
def an_exception(norm):
    handle = norm.x.register_hook(lambda gradient: 1 / 0)
    try:
        norm.dx()
    except ZeroDivisionError:
        norm.dy.fill_(2)
    else:
        raise AssertionError("no exception")
    handle.remove()


class HalvesHere(Norm):
    """Both halves launched by the calling thread, on its stream, not by autograd's."""

    def __init__(self):
        super().__init__()
        _, self.mean, self.rstd = torch.ops.aten.native_layer_norm(self.x, [COLS], weight, bias, 1e-5)

    def half(self, *mask):
        inputs = self.dy, self.x.detach(), [COLS], self.mean, self.rstd, weight.detach(), bias.detach()
        return [t for t in torch.ops.aten.native_layer_norm_backward(*inputs, mask) if t is not None]

    def dx(self):
        return self.half(True, False, False)[0]

    def sums(self):
        return self.half(False, True, True)


def made_stream():
    handle = ctypes.c_void_p()
    assert cuda.cuStreamCreate(ctypes.byref(handle), 1) == 0
    return handle


@case
def a_stream_of_the_same_handle(norm):
    """DX on a stream that is then destroyed; another, of the same handle, has the other half. Nothing changes but its
    memory, by a third stream that waits for neither, as the device is idle."""
    torch.cuda.synchronize()
    old = made_stream()
    with torch.cuda.stream(torch.cuda.ExternalStream(old.value)):
        norm.dx()
    torch.cuda.synchronize()
    assert cuda.cuStreamDestroy_v2(old) == 0
    new = made_stream()
    assert new.value == old.value
    with torch.cuda.stream(torch.cuda.Stream()):
        norm.dy.fill_(2)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.ExternalStream(new.value)):
        sums = norm.sums()
        torch.cuda.synchronize()
    norm.sums = lambda: sums


@case
def a_graph(norm):
    graph.replay()


def run(name):
    control = Norm()
    for _ in range(2):
        control.dx()
        stale = digest(*control.sums())
    norm = HalvesHere() if name == "a_stream_of_the_same_handle" else Norm()
    if name == "a_graph":
        shared.copy_(first_dy)
        norm.dy = shared
    gradient = norm.dx()
    alive = CASES[name](norm)
    hashes = digest(gradient, *norm.sums())
    del alive
    if name != "another_layer_norm":
        assert hashes[1] != stale[0], f"{name}: the values do not tell"
    print(name, *hashes, flush=True)


for name in sys.argv[1:] or CASES:
    if name == "a_graph":
        shared, graph = first_dy.clone(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            shared.copy_(other_dy)
    run(name)
