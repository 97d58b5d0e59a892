# SPDX-License-Identifier: Apache-2.0
"""Train a small GPT and print the loss of each step: plain PyTorch that knows nothing of fuseln.

    python tools/train.py [--steps 30] [--dtype float32|bfloat16] [--device cuda]
"""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY = 64
CONTEXT = 32


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).triu(1)
        attended = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, width=96, heads=4, layers=2):
        super().__init__()
        self.token, self.position = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


def batches(count, device, generator):
    """Nine tokens in ten follow from the one before, so a few steps are enough to learn from."""
    for _ in range(count):
        tokens = torch.randint(VOCABULARY, (8, CONTEXT + 1), generator=generator)
        for i in range(1, CONTEXT + 1):
            follows = torch.rand(8, generator=generator) < 0.9
            tokens[:, i] = torch.where(follows, (5 * tokens[:, i - 1] + 3) % VOCABULARY, tokens[:, i])
        yield tokens.to(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model = GPT().to(getattr(torch, arguments.dtype)).to(arguments.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    generator = torch.Generator().manual_seed(1)
    for step, tokens in enumerate(batches(arguments.steps, arguments.device, generator)):
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step:3d} loss {loss.item():.6f}", flush=True)


if __name__ == "__main__":
    main()
