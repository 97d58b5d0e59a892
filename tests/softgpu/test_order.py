# SPDX-License-Identifier: Apache-2.0
"""The software device with delayed work (run --seed): an order that CUDA promises holds under every seed, and an order
that the program forgot is missing under some."""

import functools
import json
import pathlib
import subprocess
import sys

import pytest

RUN = pathlib.Path(__file__).resolve().parent / "run"
PROGRAM = """
import ctypes, json, sys
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    assert getattr(cuda, name)(*arguments) == 0, name
def made(name, *arguments, kind=ctypes.c_void_p):
    value = kind()
    call(name, ctypes.byref(value), *arguments)
    return value
call("cuInit", 0)
context = made("cuCtxCreate_v2", 0, 0)
memory = [made("cuMemAlloc_v2", ctypes.c_size_t(4), kind=ctypes.c_uint64) for _ in range(2)]
first, second, blocking = (made("cuStreamCreate", flags) for flags in (1, 1, 0))
event, legacy = made("cuEventCreate", 2), None
value, one = ctypes.c_uint32(), ctypes.c_size_t(1)
def copy(stream):
    call("cuMemcpyDtoDAsync_v2", memory[1], memory[0], ctypes.c_size_t(4), stream)
def fill(number, stream, which=0):
    call("cuMemsetD32Async", memory[which], number, one, stream)
def graph(work):
    call("cuStreamBeginCapture_v2", first, 2)
    work()
    captured = ctypes.c_void_p()
    call("cuStreamEndCapture", first, ctypes.byref(captured))
    return made("cuGraphInstantiateWithFlags", captured, ctypes.c_uint64(0))
def fork(to, by=first):
    call("cuEventRecord", event, by), call("cuStreamWaitEvent", to, event, 0)
def launch(graph, stream):
    call("cuGraphLaunch", graph, stream), call("cuGraphExecDestroy", graph)
seen = {}
for case, work in json.load(sys.stdin).items():
    seen[case], work = set(), compile(work, case, "exec")
    for number in range(1, 200):
        call("cuCtxSynchronize")
        exec(work)
        call("cuCtxSynchronize")
        call("cuMemcpyDtoH_v2", ctypes.byref(value), memory[1], ctypes.c_size_t(4))
        seen[case].add(value.value == number)
print(json.dumps({case: sorted(found) for case, found in seen.items()}))
"""
PROMISED = {
    "one stream": "fill(number, first), copy(first)",
    "an event": "fill(number, first), call('cuEventRecord', event, first), call('cuStreamWaitEvent', second, event, 0), copy(second)",
    "stream synchronised": "fill(number, first), call('cuStreamSynchronize', first), copy(second)",
    "event synchronised": "fill(number, first), call('cuEventRecord', event, first), call('cuEventSynchronize', event), copy(second)",
    "stream queried": "fill(number, first)\nwhile cuda.cuStreamQuery(first) == 600: pass\ncopy(second)",
    "legacy waits": "fill(number, blocking), copy(legacy)",
    "legacy is waited for": "fill(number, legacy), copy(blocking)",
    "the later write": "fill(number, second), copy(second), call('cuStreamSynchronize', second), fill(0, first, 1), fill(number, first, 1)",
    "the edges of a graph": "launch(graph(lambda: (fill(number, first), fork(second), copy(second), fork(first, second))), blocking)",
    "behind a graph": "launch(graph(lambda: fill(number, first)), second), copy(second)",
    "a graph behind": "fill(number, second), launch(graph(lambda: copy(first)), second)",
    "a graph and the legacy stream": "launch(graph(lambda: fill(number, first)), blocking), copy(legacy)",
}
FORGOTTEN = {
    "two streams": "fill(number, first), copy(second)",
    "legacy and one that does not block": "fill(number, legacy), copy(second)",
    "an event of another stream": "fill(number, first), call('cuEventRecord', event, second), call('cuStreamWaitEvent', second, event, 0), copy(second)",
    "branches of a graph": "launch(graph(lambda: (fork(second), fill(number, first), copy(second), fork(first, second))), blocking)",
    "graphs of two streams": "launch(graph(lambda: (fill(number, first), copy(first))), second), launch(graph(lambda: fill(0, first)), first)",
    "recorded too early": "call('cuEventRecord', event, first), fill(number, first), call('cuStreamWaitEvent', second, event, 0), copy(second)",
}  # fmt: skip


@functools.cache
def seen(seed):
    """Whether the copy had the number, in all rounds of each case."""
    command = [RUN, "--no-fuseln", "--seed", str(seed), "--", sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=json.dumps(PROMISED | FORGOTTEN), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", PROMISED)
def test_a_promised_order_holds(case):
    for seed in (0, 7):
        assert seen(seed)[case] == [True]


@pytest.mark.parametrize("case", FORGOTTEN)
def test_a_forgotten_order_shows(case):
    assert seen(7)[case] == [False, True]
