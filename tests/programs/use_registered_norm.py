# SPDX-License-Identifier: Apache-2.0
"""use_registered_norm.py LIBRARY[,LIBRARY] LAUNCHES [HOW]: launches the one kernel of LIBRARY (registered.c), which is
closed::norm of closed_norms.cu, 6 rows of 256 floats, with new values each time; of several libraries in turn. Prints
the largest error. HOW: fork (in a child), capture (the first two launches are captured into a graph and replayed),
reload (the library is unloaded and loaded again in the middle), failed (a runtime call has failed before)."""

import _ctypes
import ctypes
import os
import sys

import torch

libraries, count, how = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""


def launch(library, device):
    """On the current stream."""
    values = [*(ctypes.c_void_p(t.data_ptr()) for t in device), ctypes.c_float(0.5), ctypes.c_float(1e-5),
              *map(ctypes.c_int, (6, 256, 512))]  # fmt: skip
    addresses, pair = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values)), ctypes.c_uint * 2
    stream = ctypes.c_void_p.in_dll(library, "registered_stream")
    stream.value = torch.cuda.current_stream().cuda_stream
    assert library.registered_launch(0, pair(6, 1), pair(1, 1), ctypes.c_size_t(0), addresses) == 0


def launch_captured(library, device):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch(library, device)
    graph.replay()


loaded = [ctypes.CDLL(library) for library in libraries]
if how == "fork":
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
torch.manual_seed(0)
runtime, largest = ctypes.CDLL(None), 0.0
for i in range(count):
    if how == "reload" and i == count // 2:
        _ctypes.dlclose(loaded[0]._handle)
        loaded[0] = ctypes.CDLL(libraries[0])
    x, gamma, beta = torch.randn(6, 256), torch.randn(256), torch.randn(256)
    device = [t.cuda() for t in (x, gamma, beta, torch.zeros(6, 256))]
    if how == "failed":
        assert runtime.cudaSetDevice(99) != 0
    (launch_captured if how == "capture" and i < 2 else launch)(loaded[i % len(loaded)], device)
    if how == "failed":
        assert runtime.cudaGetLastError() == 101  # cudaErrorInvalidDevice: the host finds what it left
    wanted = torch.nn.functional.layer_norm(x.double(), (256,), gamma.double(), beta.double(), 1e-5)
    largest = max(largest, (device[3].cpu() - wanted).abs().max().item())
print(f"{largest:.3g}")
