# SPDX-License-Identifier: Apache-2.0
"""PyTorch and torchvision, whose wheel carries a CUDA runtime of its own, in one process: a torchvision operator on the
CPU and, where there is a device, one on it, whose kernel the software device does not know, and a PyTorch layer
norm."""

import pathlib

import torch
import torchvision

x = torch.arange(5.0 * 768).view(5, 768) % 17
runtimes = {pathlib.Path(line.split()[-1]).name for line in open("/proc/self/maps") if "/libcudart." in line}
assert len(runtimes) == 2, runtimes
print(*sorted(runtimes))
boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
print(torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist())
if torch.cuda.is_available():
    try:
        box = torch.tensor([[0.0, 0, 0, 4, 4]]).cuda()
        print(torchvision.ops.roi_align(x[:3, :64].reshape(1, 3, 8, 8).cuda(), box, 2).cpu().mean().item())
    except RuntimeError as error:
        print(error)
    norm = torch.nn.LayerNorm(768, elementwise_affine=False)
    print(torch.allclose(norm(x.cuda()).cpu(), norm(x), atol=1e-5))
