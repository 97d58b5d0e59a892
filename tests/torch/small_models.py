# SPDX-License-Identifier: Apache-2.0
"""Models of torch.nn alone, for wheels of any age: prints the loss of each step of training one.

    small_models.py transformer|mixer
"""

import sys

import torch
from torch import nn


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021): layer norms over channels, of odd width in between."""

    def __init__(self, tokens=16, width=33, layers=2):
        super().__init__()
        self.embed, self.head = nn.Linear(12, width), nn.Linear(width, 10)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.across = nn.ModuleList(self.mlp(tokens, 32) for _ in range(layers))
        self.within = nn.ModuleList(self.mlp(width, 64) for _ in range(layers))

    @staticmethod
    def mlp(width, hidden):
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x):
        x = self.embed(x)
        for i, (across, within) in enumerate(zip(self.across, self.within)):
            x = x + across(self.norms[2 * i](x).transpose(1, 2)).transpose(1, 2)
            x = x + within(self.norms[2 * i + 1](x))
        return self.head(self.norms[-1](x).mean(1))


class Transformer(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.embed, self.head = nn.Linear(12, width), nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(1))


def main():
    torch.manual_seed(0)
    model = {"mixer": Mixer, "transformer": Transformer}[sys.argv[1]]().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    x, labels = torch.randn(16, 16, 12).cuda(), torch.randint(10, (16,)).cuda()
    for step in range(6):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}", flush=True)


if __name__ == "__main__":
    main()
