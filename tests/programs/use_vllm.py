# SPDX-License-Identifier: Apache-2.0
"""The compiled libraries of vLLM's wheel: how many operators each registers. Where there is a device, also a PyTorch
layer norm and vLLM's RMS norm of rows of ones, whose kernel the software device does not know."""

import importlib.util
import pathlib

import torch

names = torch._C._dispatch_get_all_op_names
for library in sorted(pathlib.Path(importlib.util.find_spec("vllm").origin).parent.rglob("*.so")):
    before = len(names())
    torch.ops.load_library(str(library))
    print(library.name.split(".")[0], len(names()) - before, end=" ")
print()
if torch.cuda.is_available():
    x = torch.arange(5.0 * 768).view(5, 768) % 17
    norm = torch.nn.LayerNorm(768, elementwise_affine=False)
    print(torch.allclose(norm(x.cuda()).cpu(), norm(x), atol=1e-5))
    ones, y = torch.ones(5, 768).cuda(), torch.zeros(5, 768).cuda()
    torch.ops._C.rms_norm(y, ones, ones[0], 1e-5)  # it does not check whether its launch was refused
    print(y.cpu().mean().item())
