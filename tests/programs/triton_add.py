# SPDX-License-Identifier: Apache-2.0
"""A Triton kernel, launched three times, then an eager layer norm. Prints the results or errors."""

import torch
import triton
import triton.language as tl


@triton.jit
def add_one(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, tl.load(x + i, mask=i < n) + 1, mask=i < n)


x, y = torch.ones(64).cuda(), torch.zeros(64).cuda()
for _ in range(3):
    try:
        add_one[(1,)](x, y, 64, BLOCK=64)
        print(y.cpu().sum().item())
    except RuntimeError as error:  # the software device knows no such kernel
        print(error)
torch.nn.functional.layer_norm(x.view(1, 64), (64,))
