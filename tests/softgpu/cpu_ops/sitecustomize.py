# SPDX-License-Identifier: Apache-2.0
"""Loaded by Python itself because tests/softgpu/run puts this folder first in PYTHONPATH.

Waits until autograd's threads are idle before the interpreter ends. With SOFTGPU_CPU_OPS set (run --cpu-ops),
softgpu_cpu_ops takes over PyTorch's CUDA operators once the program has imported torch. Nothing changes for a program
without torch.
"""
import atexit
import glob
import importlib.util
import os
import sys
import time


class TorchFinder:
    """Finds torch as usual, and adds a step to the end of its import."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            import softgpu_cpu_ops

            softgpu_cpu_ops.install(module)

        spec.loader.exec_module = exec_module
        return spec


def autograd_threads():
    """The state and the context switches of each autograd thread."""
    found = {}
    for comm in glob.glob("/proc/self/task/*/comm"):
        try:
            with open(comm) as name, open(os.path.join(os.path.dirname(comm), "status")) as status:
                if name.read().startswith("pt_autograd"):
                    found[comm] = [line for line in status if line.startswith(("State", "volun", "nonvol"))]
        except OSError:
            pass  # the thread has ended
    return found


def wait_for_autograd():
    """The device is so fast that an autograd thread may still be releasing Python objects of the last backward when the
    interpreter ends; Python then kills it inside C++ code that must not be unwound, and the process aborts. A thread
    that did not run while the GIL was free is waiting for its next task."""
    before = None
    end = time.monotonic() + 2
    while "torch" in sys.modules and time.monotonic() < end:
        now = autograd_threads()
        if now == before and all("S (sleeping)" in lines[0] for lines in now.values()):
            return
        before = now
        time.sleep(0.006)  # longer than a thread waits before it asks for the GIL again


atexit.register(wait_for_autograd)  # the first registered runs last
if os.environ.get("SOFTGPU_CPU_OPS"):
    sys.meta_path.insert(0, TorchFinder())
