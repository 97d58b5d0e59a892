# SPDX-License-Identifier: Apache-2.0
"""Write the layer norms of small GPTs in training to a file: what they read, and the gradients they get.

    python activations.py FILE [--rows 10000]

Models of tools/train.py train on the CPU with a fixed seed. At the last steps each LayerNorm's input, gamma, beta and
output gradient are rounded to bfloat16 and written: rows and cols (int64), gamma, beta, x, dy. Gradients are scaled by
a power of two to about 1, as a loss scale would, so that float16 can hold them; rounding is the same at every scale.
"""

import argparse
import math
import pathlib
import struct
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import train  # noqa: E402

MODELS = [(64, 4, 2, 60), (768, 12, 1, 10), (777, 7, 1, 10), (1024, 16, 1, 10)]  # width, heads, layers, steps


def words(tensor):
    return tensor.detach().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()


def write(file, norm, x, dy):
    x, dy = x.reshape(-1, x.shape[-1]), dy.reshape(-1, x.shape[-1])
    dy = dy * 2.0 ** -math.floor(math.log2(dy.square().mean().sqrt().item()))
    file.write(struct.pack("qq", *x.shape) + words(norm.weight) + words(norm.bias) + words(x) + words(dy))
    return len(x)


def capture(file, width, heads, layers, steps, rows):
    """Train, then go on until `rows` rows were written."""
    torch.manual_seed(0)
    model = train.GPT(width, heads, layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    seen = {}

    def keep(norm, inputs, output):
        output.retain_grad()
        seen[norm] = inputs[0], output

    for norm in norms:
        norm.register_forward_hook(keep)
    written = 0
    for step, tokens in enumerate(train.batches(1000, "cpu", torch.Generator().manual_seed(1))):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        for norm in norms if step >= steps else []:
            x, output = seen[norm]
            written += write(file, norm, x, output.grad)
        optimizer.step()
        if written >= rows:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=10000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # more of them wait more than they work
    with open(arguments.file + ".part", "wb") as file:
        for width, heads, layers, steps in MODELS:
            capture(file, width, heads, layers, steps, arguments.rows // len(MODELS))
    pathlib.Path(arguments.file + ".part").rename(arguments.file)


if __name__ == "__main__":
    main()
