# SPDX-License-Identifier: Apache-2.0
"""A layer norm by torch.compile, which makes its own kernel, then an eager one. Prints the first one's result or error."""

import torch

x = torch.arange(512.0).view(8, 64).cuda()
try:
    print(torch.compile(lambda x: torch.nn.functional.layer_norm(x, (64,)))(x).cpu().square().sum().item())
except RuntimeError as error:  # the software device knows no such kernel
    print(error)
torch.nn.functional.layer_norm(x, (64,))
