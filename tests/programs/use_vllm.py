# SPDX-License-Identifier: Apache-2.0
"""The compiled libraries of vLLM's wheel: how many operators each registers. Its norms: use_vllm_norms.py."""

import importlib.util
import pathlib

import torch

names = torch._C._dispatch_get_all_op_names
for library in sorted(pathlib.Path(importlib.util.find_spec("vllm").origin).parent.rglob("*.so")):
    before = len(names())
    torch.ops.load_library(str(library))
    print(library.name.split(".")[0], len(names()) - before, end=" ")
print()
