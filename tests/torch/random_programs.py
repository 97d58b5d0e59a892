# SPDX-License-Identifier: Apache-2.0
"""Random programs of layer-norm backwards, run by test_pairs.py on the software device that delays work (SOFTGPU_SEED).

A program is a list of steps, each made by one of two threads on one of three streams: the two halves of a backward,
apart or together, and whatever changes what they read: copies, fills, kernels, graphs, host functions, new memory. The
threads take turns, so the order of all calls is known. Before a step touches a tensor that another stream uses, the
program orders the streams as CUDA demands (Clocks), so its results are known too: float64 checks them.

The bound of a sum of n terms in float32 is n 2^-24 times the sum of their magnitudes, with a few more roundings for each
term; stale sums differ in the first digits."""

import concurrent.futures
import ctypes
import os
import pathlib
from random import Random

import hypothesis
import hypothesis.strategies as st
import numpy as np
import torch

ROWS, SHAPES = 40, (32, 48, 64)  # with SOFTGPU_SMS=2, more than 32 rows have partial sums
PROGRAMS = int(os.environ.get("RANDOM_PROGRAMS", "500"))
SCENES = 10 # of 3 to 12 steps
UNIT = 2.0**-24
norm_backward = torch.ops.aten.native_layer_norm_backward
cuda = ctypes.CDLL("libcuda.so.1")
threads = [concurrent.futures.ThreadPoolExecutor(1) for _ in range(2)]
rng = np.random.default_rng(0)


def blocking_stream():
    """One that waits for the legacy stream and makes it wait; PyTorch makes only others."""
    handle = ctypes.c_void_p()
    torch.zeros(1).cuda()
    assert cuda.cuStreamCreate(ctypes.byref(handle), 0) == 0
    return torch.cuda.ExternalStream(handle.value)


BLOCKING = blocking_stream()
STREAMS = [torch.cuda.default_stream(), BLOCKING, torch.cuda.Stream()]
WAITS_FOR_EACH_OTHER = {(0, 1), (1, 0)}  # without an event


class Clocks:
    """What is known to come before the next work on each stream: positions in the other streams."""

    def __init__(self):
        count = range(len(STREAMS))
        self.position = [0 for _ in count]
        self.before = [[0 for _ in count] for _ in count]
        self.host = [0 for _ in count]  # the host has seen the end of these

    def merge(self, into, clock):
        into[:] = map(max, into, clock)

    def reached(self, stream):
        """All that a new entry on this stream would come after, its own stream's entries too."""
        clock = list(map(max, self.before[stream], self.host))
        clock[stream] = self.position[stream]
        for other in range(len(STREAMS)):
            if (stream, other) in WAITS_FOR_EACH_OTHER:
                self.merge(clock, [*self.before[other]])
                clock[other] = self.position[other]
        return clock

    def work(self, stream):
        """New work there: its stamp."""
        self.merge(self.before[stream], self.reached(stream))
        self.position[stream] += 1
        return stream, self.position[stream]

    def host_sees(self, streams):
        """The host has waited for all of these."""
        for stream in streams:
            self.merge(self.host, self.reached(stream))

    def comes_after(self, stream, stamp):
        other, position = stamp
        return self.reached(stream)[other] >= position


class Buffer:
    """Device memory, its values, and who has touched it."""

    def __init__(self, values):
        self.values = values
        self.tensor = torch.from_numpy(values).cuda()
        self.written, self.read = None, []


class Program:
    def __init__(self):
        torch.cuda.synchronize()
        self.clocks = Clocks()
        self.constants = [Buffer(self.drawn(ROWS, SHAPES[-1])) for _ in range(3)]
        self.norms = []
        for cols in SHAPES:
            x = self.drawn(ROWS, cols)
            mean, rstd = x.mean(1, keepdims=True), 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
            self.norms.append({"cols": cols, "x": Buffer(x), "dy": Buffer(self.drawn(ROWS, cols)),
                               "mean": Buffer(mean), "rstd": Buffer(rstd), "gamma": Buffer(self.drawn(cols))})
        self.graphs = [self.captured(norm) for norm in self.norms[:2]]
        self.results, self.alive = [], []
        torch.cuda.synchronize()

    @staticmethod
    def drawn(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    def source(self, which, like):
        """The first elements of a constant, in the shape of another tensor."""
        constant = self.constants[which]
        count = like.values.size
        return constant, constant.tensor.flatten()[:count].view(like.tensor.shape), constant.values.ravel()[:count]

    def captured(self, norm):
        """A graph that copies the first constant into dY."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        _, source, _ = self.source(0, norm["dy"])
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            graph.capture_begin()
            norm["dy"].tensor.copy_(source)
            graph.capture_end()
        torch.cuda.synchronize()
        return graph, norm["dy"].tensor

    def order(self, stream, stamp, how):
        """Work on this stream shall come after that one: nothing where it does anyway."""
        if stamp is None or self.clocks.comes_after(stream, stamp):
            return
        other = stamp[0]
        if how == 0:
            event = torch.cuda.Event()
            event.record(STREAMS[other])
            self.clocks.merge(self.clocks.before[other], self.clocks.reached(other))
            STREAMS[stream].wait_event(event)
            self.clocks.merge(self.clocks.before[stream], self.clocks.reached(other))
            return
        if how == 1:
            STREAMS[other].synchronize()
        elif how == 2:
            event = torch.cuda.Event()
            event.record(STREAMS[other])
            while not event.query():
                pass
        else:
            torch.cuda.synchronize()
        self.clocks.host_sees(range(len(STREAMS)) if how == 3 else [other])

    def touch(self, stream, how, reads=(), writes=()):
        """Order the streams for work that reads and writes these buffers."""
        for buffer in reads:
            self.order(stream, buffer.written, how)
        for buffer in writes:
            for stamp in (buffer.written, *buffer.read):
                self.order(stream, stamp, how)
        stamp = self.clocks.work(stream)
        for buffer in reads:
            buffer.read.append(stamp)
        for buffer in writes:
            buffer.written, buffer.read = stamp, []

    # ---- steps ----

    def gradient(self, norm, stream, how, mask):
        inputs = [norm[name] for name in ("dy", "x", "mean", "rstd", "gamma")]
        self.touch(stream, how, reads=inputs)
        dy, x, mean, rstd, gamma = (buffer.tensor for buffer in inputs)
        outputs = norm_backward(dy, x, [norm["cols"]], mean, rstd, gamma, gamma, mask)
        self.results.append((outputs, [buffer.values.astype(np.float64) for buffer in inputs]))

    def dx(self, norm, stream, how):
        self.gradient(norm, stream, how, [True, False, False])

    def sums(self, norm, stream, how):
        self.gradient(norm, stream, how, [False, True, True])

    def both(self, norm, stream, how):
        self.gradient(norm, stream, how, [True, True, True])

    def twice(self, norm, stream, how):
        """So that its site makes sums again."""
        for _ in range(2):
            self.dx(norm, stream, how)
            self.sums(norm, stream, how)
        self.dx(norm, stream, how)

    def write(self, buffer, values, stream, how, source=None):
        self.touch(stream, how, reads=[source] if source else [], writes=[buffer])
        buffer.values = np.array(values, np.float32).reshape(buffer.values.shape)

    def copy(self, buffer, stream, how):
        constant, source, values = self.source(1, buffer)
        self.write(buffer, values, stream, how, constant)
        buffer.tensor.copy_(source)

    def driver_copy(self, buffer, stream, how):
        constant, source, values = self.source(2, buffer)
        self.write(buffer, values, stream, how, constant)
        addresses = ctypes.c_uint64(buffer.tensor.data_ptr()), ctypes.c_uint64(source.data_ptr())
        handle = ctypes.c_void_p(STREAMS[stream].cuda_stream)
        assert cuda.cuMemcpyDtoDAsync_v2(*addresses, ctypes.c_size_t(buffer.values.nbytes), handle) == 0

    def from_host(self, buffer, stream, how):
        values = self.drawn(*buffer.values.shape)
        self.write(buffer, values, stream, how)
        buffer.tensor.copy_(torch.from_numpy(values), non_blocking=True)

    def zero(self, buffer, stream, how):
        self.write(buffer, np.zeros_like(buffer.values), stream, how)
        buffer.tensor.zero_()

    def fill(self, buffer, stream, how):
        self.write(buffer, np.full_like(buffer.values, 0.5), stream, how)
        buffer.tensor.fill_(0.5)

    def host_function(self, buffer, stream, how):
        values = self.drawn(*buffer.values.shape)
        self.write(buffer, values, stream, how)
        address, nbytes = buffer.tensor.data_ptr(), values.nbytes
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        function = kind(lambda unused: ctypes.memmove(address, values.ctypes.data, nbytes) and None)
        self.alive += [function, values, buffer.tensor]
        assert cuda.cuLaunchHostFunc(ctypes.c_void_p(STREAMS[stream].cuda_stream), function, None) == 0

    def graph(self, norm, stream, how):
        index = self.norms.index(norm) % len(self.graphs)
        graph, tensor = self.graphs[index]
        buffer = self.norms[index]["dy"]
        constant, _, values = self.source(0, buffer)
        if buffer.tensor is not tensor: # new memory since
            return
        self.write(buffer, values, stream, how, constant)
        graph.replay()

    def new_memory(self, norm, stream, how):
        """The driver gets the old one back, unless a graph holds it."""
        torch.cuda.synchronize()
        self.clocks.host_sees(range(len(STREAMS)))
        captured = any(tensor is norm["dy"].tensor for _, tensor in self.graphs)
        if not captured:
            norm["dy"] = None
            torch.cuda.empty_cache()
        norm["dy"] = Buffer(self.drawn(ROWS, norm["cols"]))
        torch.cuda.synchronize()

    def nothing(self, norm, stream, how):
        torch.cuda.memory_allocated()
        torch.empty(1000, device="cuda")

    def synchronise(self, norm, stream, how):
        STREAMS[stream].synchronize()
        self.clocks.host_sees([stream])

    def step(self, name, index, which, stream, how):
        norm = self.norms[index]
        with torch.cuda.stream(STREAMS[stream]):
            if name in ("copy", "driver_copy", "from_host", "zero", "fill", "host_function"):
                getattr(self, name)(norm[which], stream, how)
            else:
                getattr(self, name)(norm, stream, how)

    def check(self):
        torch.cuda.synchronize()
        for outputs, inputs in self.results:
            dy, x, mean, rstd, gamma = inputs
            xhat = (x - mean) * rstd
            g = gamma * dy
            wanted = [rstd * (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True)),
                      (dy * xhat).sum(0), dy.sum(0)]
            large = (abs(x) + abs(mean)) * rstd
            terms = [rstd * (abs(g) + abs(g).mean(1, keepdims=True) + large * (abs(g) * large).mean(1, keepdims=True)),
                     (abs(dy) * large).sum(0), abs(dy).sum(0)]
            for got, want, magnitude in zip(outputs, wanted, terms):
                if got is None:
                    continue
                error = np.abs(got.cpu().numpy() - want)
                assert (error <= (max(ROWS, x.shape[1]) + 16) * UNIT * magnitude).all(), float((error / magnitude).max())


HALVES = ["dx", "sums", "both", "twice"]
CHANGES = ["copy", "driver_copy", "from_host", "zero", "host_function", "graph", "fill", "fill"]
OTHERS = ["nothing", "synchronise", "new_memory"]


def scene(random):
    """Sums are made, something comes between or nothing does, and they are asked for, mostly on the same stream."""
    def step(names, norm):
        stream, thread = random.choice([0, 0, 1, 2]), random.randrange(2)
        return [random.choice(names), norm, random.choice(["dy", "dy", "x"]), stream, random.randrange(4), thread]

    norm = random.randrange(len(SHAPES))
    first, last = step(["twice"], norm), step(["sums"], norm)
    middle = [step(random.choice([CHANGES, CHANGES, HALVES, OTHERS]), random.choice([norm, norm, random.randrange(len(SHAPES))]))
              for _ in range(random.choice([0, 1, 1, 2, 3]))]  # fmt: skip
    for others in (middle, [last]):
        for other in others:
            if random.randrange(3):
                other[3] = first[3]
    return [first, *middle, last]


made = []


# Not shrunk: the device draws its delays too, and a shorter program may be right by luck.
@hypothesis.settings(max_examples=PROGRAMS, deadline=None, derandomize=True, database=None,
                     phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
@hypothesis.given(st.integers(0, 2**64 - 1))
def test_programs(seed):
    """Drawn evenly, as hypothesis does not do with the parts of a program: the rare ones matter."""
    random = Random(seed)
    made.append(seed)
    if "RANDOM_COUNT" in os.environ:
        pathlib.Path(os.environ["RANDOM_COUNT"]).write_text(str(len(made)))
    run = Program()
    for step in [step for _ in range(SCENES) for step in scene(random)]:
        threads[step.pop()].submit(run.step, *step).result()
    run.check()


if __name__ == "__main__":
    test_programs()
    print(PROGRAMS, "programs")
