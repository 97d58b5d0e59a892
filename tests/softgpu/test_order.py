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
def record(stream):
    call("cuEventRecord", event, stream)
def wait(stream):
    call("cuStreamWaitEvent", stream, event, 0)
def graph(stream, work):
    call("cuStreamBeginCapture_v2", first, 2)
    work()
    captured = ctypes.c_void_p()
    call("cuStreamEndCapture", first, ctypes.byref(captured))
    executable = made("cuGraphInstantiateWithFlags", captured, ctypes.c_uint64(0))
    call("cuGraphLaunch", executable, stream), call("cuGraphExecDestroy", executable)
def fork():
    record(first), wait(second)
def join():
    record(second), wait(first)
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
    "an event": "fill(number, first), fork(), copy(second)",
    "stream synchronised": "fill(number, first), call('cuStreamSynchronize', first), copy(second)",
    "event synchronised": "fill(number, first), record(first), call('cuEventSynchronize', event), copy(second)",
    "stream queried": "fill(number, first)\nwhile cuda.cuStreamQuery(first) == 600: pass\ncopy(second)",
    "legacy waits": "fill(number, blocking), copy(legacy)",
    "legacy is waited for": "fill(number, legacy), copy(blocking)",
    "the later write": "fill(number, second), copy(second), call('cuStreamSynchronize', second)\n"
                       "fill(0, first, 1), fill(number, first, 1)",
    "the edges of a graph": "graph(blocking, lambda: (fill(number, first), fork(), copy(second), join()))",
    "behind a graph": "graph(second, lambda: fill(number, first)), copy(second)",
    "a graph behind": "fill(number, second), graph(second, lambda: copy(first))",
    "a graph and the legacy stream": "graph(blocking, lambda: fill(number, first)), copy(legacy)",
}  # fmt: skip
FORGOTTEN = {
    "two streams": "fill(number, first), copy(second)",
    "legacy and one that does not block": "fill(number, legacy), copy(second)",
    "an event of another stream": "fill(number, first), record(second), wait(second), copy(second)",
    "branches of a graph": "graph(blocking, lambda: (fork(), fill(number, first), copy(second), join()))",
    "graphs of two streams": "graph(second, lambda: (fill(number, first), copy(first)))\n"
                             "graph(first, lambda: fill(0, first))",
    "recorded too early": "record(first), fill(number, first), wait(second), copy(second)",
}


@functools.cache
def seen(seed):
    """Whether the copy had the number, in all rounds of each case."""
    command = [RUN, "--no-fuseln", "--seed", str(seed), "--", sys.executable, "-c", PROGRAM]
    cases = json.dumps(PROMISED | FORGOTTEN)
    return json.loads(subprocess.run(command, input=cases, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.parametrize("case", PROMISED)
def test_a_promised_order_holds(case):
    for seed in (0, 7):
        assert seen(seed)[case] == [True]


@pytest.mark.parametrize("case", FORGOTTEN)
def test_a_forgotten_order_shows(case):
    assert seen(7)[case] == [False, True]
