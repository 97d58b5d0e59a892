# SPDX-License-Identifier: Apache-2.0
"""What may happen between the two halves of a backward; run on the software device by test_pairs.py.

    pairs.py [--captured] CASE...     only these
    pairs.py [--captured] -CASE...    all but these; none: every case, or each that may be captured

Prints a line for each case: its name and the hashes of dX, dgamma and dbeta. Each case launches dX, does something, and
launches the gamma and beta gradients of the same tensors. Before that, both halves are launched one after the other, so
that partial sums are made from then on; the values must differ from those that stale sums would give. --captured: the
case is captured, and its values are those of a replay."""

import contextlib
import ctypes
import gc
import hashlib
import sys
import threading

import torch
from torch.nn import functional as F

ROWS, COLS = 2200, 64  # enough rows for partial sums
cuda = ctypes.CDLL("libcuda.so.1")
torch.manual_seed(0)
x, x2, first_dy, other_dy = (torch.randn(ROWS, COLS).cuda() for _ in range(4))
weight, bias = torch.randn(COLS).cuda().requires_grad_(), torch.randn(COLS).cuda().requires_grad_()
BYTES = ROWS * COLS * 4


def digest(*tensors):
    return [hashlib.sha256(t.detach().cpu().numpy().tobytes()).hexdigest()[:16] for t in tensors]


class Norm:
    """A layer norm whose backward is asked for one half at a time."""

    def __init__(self, source=x):
        self.x = source.clone().requires_grad_()
        self.dy = first_dy.clone()
        self.parameters = [t.detach().requires_grad_() for t in (weight, bias)]  # nothing else of autograd's knows them
        self.y = F.layer_norm(self.x, (COLS,), *self.parameters)

    def dx(self):
        return torch.autograd.grad(self.y, self.x, self.dy, retain_graph=True)[0]

    def sums(self):
        return torch.autograd.grad(self.y, self.parameters, self.dy, retain_graph=True)

    def both(self):
        return torch.autograd.grad(self.y, [self.x, *self.parameters], self.dy, retain_graph=True)


def driver(function, *arguments):
    """Calls the driver: integers are addresses and sizes."""
    values = [ctypes.c_uint64(value) if isinstance(value, int) else value for value in arguments]
    assert getattr(cuda, function)(*values) == 0


def here():
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)


# What happens between the halves. What it returns, if anything, stays alive until the values have been read.
CASES = {
    "copy": lambda norm: norm.dy.copy_(other_dy),
    "zero": lambda norm: norm.dy.zero_(),
    "fill": lambda norm: norm.dy.fill_(2),
    "add": lambda norm: norm.dy.add_(1),
    "matmul": lambda norm: torch.mm(other_dy, torch.eye(COLS).cuda(), out=norm.dy),
    "from_the_host": lambda norm: norm.dy.copy_(other_dy.cpu()),
    "change_x": lambda norm: norm.x.data.copy_(x2),
    "driver_memset": lambda norm: driver("cuMemsetD32_v2", norm.dy.data_ptr(), 0x3F800000, BYTES // 8),
    "driver_copy": lambda norm: driver("cuMemcpyDtoD_v2", norm.dy.data_ptr(), other_dy.data_ptr(), BYTES),
    "driver_copy_async": lambda norm: driver("cuMemcpyDtoDAsync_v2", norm.dy.data_ptr(), other_dy.data_ptr(), BYTES, here()),
    "a_graph": lambda norm: graph.replay(),
}


def case(function):
    CASES[function.__name__] = function


@case
def host_function(norm):
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    function = kind(lambda unused: ctypes.memmove(norm.dy.data_ptr(), other_dy.data_ptr(), BYTES) and None)
    driver("cuLaunchHostFunc", here(), function, None)
    return function


@case
def another_thread(norm):
    stream = torch.cuda.current_stream()

    def work():
        with torch.cuda.stream(stream):
            norm.dy.copy_(other_dy)

    thread = threading.Thread(target=work)
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
    """Its dX on the same stream, by the same worker thread: only the sums of the last one can be pending."""
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
    others = []  # autograd's thread may let go of something late: then other memory is free too
    while (taken := other_dy.clone()).data_ptr() != address:
        others.append(taken)
        assert len(others) < 100
    norm.dy = taken


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
    """Both halves launched by the calling thread, on its stream, instead of autograd's."""

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


def made(function, flags):
    handle = ctypes.c_void_p()
    driver(function, ctypes.byref(handle), flags)
    return handle


@case
def a_stream_of_the_same_handle(norm):
    """dX on a stream that is then destroyed; the other half on a new stream with the same handle. Only the memory of dY
    changes, by a third stream, which waits for neither since the device is idle."""
    torch.cuda.synchronize()
    old = made("cuStreamCreate", 1)
    with torch.cuda.stream(torch.cuda.ExternalStream(old.value)):
        norm.dx()
    torch.cuda.synchronize()
    driver("cuStreamDestroy_v2", old)
    new = made("cuStreamCreate", 1)
    assert new.value == old.value
    with torch.cuda.stream(torch.cuda.Stream()):
        norm.dy.fill_(2)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.ExternalStream(new.value)):
        sums = norm.sums()
        torch.cuda.synchronize()
    norm.sums = lambda: sums


def on_a_stream(change):
    """dX on a stream of this thread's; another thread changes dY on a stream of its own, then the other half."""
    stream, other = torch.cuda.Stream(), torch.cuda.Stream()

    def body(norm):
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            norm.dx()
            thread = threading.Thread(target=change, args=(norm, stream, other))
            thread.start()
            thread.join()
            sums = norm.sums()
        torch.cuda.synchronize()
        norm.sums = lambda: sums

    body.__name__ = change.__name__
    return body


def change_dy(norm, stream):
    driver("cuMemsetD32Async", norm.dy.data_ptr(), 0x3F800000, BYTES // 8, ctypes.c_void_p(stream.cuda_stream))


@case
@on_a_stream
def another_thread_records_an_event(norm, stream, other):
    other.wait_event(stream.record_event())
    change_dy(norm, other)
    other.synchronize()


@case
@on_a_stream
def another_thread_waits(norm, stream, other):
    stream.synchronize()
    change_dy(norm, other)
    other.synchronize()


IN_CAPTURE = """copy zero fill change_x driver_copy_async host_function another_thread another_stream_and_an_event
another_layer_norm the_same_layer_norm_twice freed_and_taken_again an_exception a_graph""".split()
HALVES_HERE = "a_stream_of_the_same_handle", "another_thread_records_an_event", "another_thread_waits"


def run(name):
    control = Norm()
    for _ in range(2):
        control.dx()
        stale = digest(*control.sums())
    replayed = torch.cuda.CUDAGraph()
    with torch.cuda.graph(replayed, capture_error_mode="relaxed") if CAPTURED else contextlib.nullcontext():
        norm = HalvesHere() if name in HALVES_HERE else Norm()
        if name == "a_graph":
            shared.copy_(first_dy)
            norm.dy = shared
        gradient = norm.dx()
        alive = CASES[name](norm)
        sums = norm.sums()
    if CAPTURED:
        replayed.replay()
    hashes = digest(gradient, *sums)
    del alive
    if name != "another_layer_norm":
        assert hashes[1] != stale[0], f"{name}: stale sums would give the same values"
    print(name, *hashes, flush=True)


CAPTURED = "--captured" in sys.argv
words, every = [word for word in sys.argv[1:] if word != "--captured"], IN_CAPTURE if CAPTURED else CASES
for name in [word for word in words if word[0] != "-"] or [name for name in every if f"-{name}" not in words]:
    if name == "a_graph":
        shared, graph = first_dy.clone(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            shared.copy_(other_dy)
    run(name)
