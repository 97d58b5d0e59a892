# SPDX-License-Identifier: Apache-2.0
"""One rank of a training run: a small model with layer norms, gradients averaged over gloo. Prints the last loss.

    torchrun --nproc-per-node 2 ranks.py        or        mpirun -n 2 python ranks.py        or        srun -n 2 ...
"""

import os

import torch
import torch.distributed as dist

theirs = {"RANK": ("OMPI_COMM_WORLD_RANK", "SLURM_PROCID"), "WORLD_SIZE": ("OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS")}
for name, others in theirs.items():
    os.environ.setdefault(name, next((os.environ[other] for other in others if other in os.environ), ""))
os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.LayerNorm(64), torch.nn.Linear(64, 64), torch.nn.LayerNorm(64)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
generator = torch.Generator().manual_seed(rank)
for _ in range(3 + int(os.environ.get("MORE_STEPS_OF_RANK_1", "0")) * rank):
    optimizer.zero_grad()
    loss = (model(torch.randn(32, 64, generator=generator).cuda()) - 1).square().mean()
    loss.backward()
    if _ < 3:
        for parameter in model.parameters():
            gradient = parameter.grad.cpu()
            dist.all_reduce(gradient)
            parameter.grad.copy_(gradient / 2)
    optimizer.step()
os.write(1, f"rank {rank}: {loss.item():.6f}\n".encode())  # at once: print may write the end of the line by itself
dist.destroy_process_group()
