# SPDX-License-Identifier: Apache-2.0
"""What the programs share that launch other people's norms on drawn cases and compare what came out with float64
(torch/norms_table.py runs them, with fuseln and without).

Bounds are derived, with u the unit roundoff of float, U that of the element type and h the longest chain of roundings
of a sum over a row, as in torch/drawn.py: sums in float, and as many roundings to the element type as the original has
(ours has one)."""

import collections
import json
import math
import os

import torch

UNIT = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
SMALLEST = {torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133}
SHORT = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
COLS = (1, 64, 77, 768, 1023, 1024, 4096, 8200)
u = UNIT[torch.float32]

Value = collections.namedtuple("Value", "wanted magnitude bound")  # of the terms that it is the sum of; of float's errors


def chain(n):
    """Longest chain of roundings in a sum of n terms: held by a thread, then a tree of three roundings each."""
    return min(n, 64) + n / 256 + 3 * (math.log2(n + 1) + 2)


def norm(x, gamma, beta, eps, rms, one_pass=False):
    """y of rows x, all of float64: Value; and mean and rstd. The original gets eps as a float. one_pass: the variance is
    E[x^2] - E[x]^2."""
    eps = torch.tensor(eps, dtype=torch.float32).item()
    h = chain(x.shape[1])
    mean = torch.zeros(len(x), 1) if rms else x.mean(1, keepdim=True)
    mean_error = 0 * mean if rms else h * u * x.abs().mean(1, keepdim=True)
    variance = (x - mean).square().mean(1, keepdim=True)
    rstd = (variance + eps).rsqrt()
    variance_error = (h + 4) * u * variance + 2 * mean_error**2
    if one_pass:  # the errors of both squares stay when their difference is small
        variance_error += (h + 2) * u * x.square().mean(1, keepdim=True) + 2 * mean.abs() * mean_error
    rstd_error = rstd * (variance_error / (2 * (variance + eps)) + 3 * u) * 1.1
    xhat = (x - mean) * rstd
    xhat_error = rstd * mean_error + (x - mean).abs() * rstd_error + 3 * u * (xhat.abs() + rstd * mean_error)
    magnitude = (gamma * xhat).abs() + beta.abs()
    return Value(gamma * xhat + beta, magnitude, gamma.abs() * xhat_error + 4 * u * magnitude), mean, rstd


class Drawn:
    """Draws cases, and prints what became of each."""

    def __init__(self):
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        self.generator = torch.Generator().manual_seed(0)
        self.log = open(os.environ["SOFTGPU_LOG"])
        self.checked = os.environ.get("FUSELN_CHECK") == "1"

    def pick(self, *choices):
        return choices[torch.randint(len(choices), (), generator=self.generator).item()]

    def shapes(self, launches=5):
        """Rows and columns, some launches of each width."""
        for cols in COLS:
            for _ in range(launches):
                yield max(1, min(self.pick(1, 2, 7, 33, 128, 300), 30_000 // cols)), cols

    def values(self, dtype, *shape, offset=0.0, scale=1.0, skew=0):
        """The same values in float64 and on the device, there skew elements past an aligned address."""
        host = (torch.randn(*shape, generator=self.generator) * scale + offset).to(dtype)
        flat = torch.zeros(host.numel() + skew, dtype=dtype)
        flat[skew:] = host.flatten()
        return host.double(), flat.to("cuda")[skew:].view(*shape)

    def say(self, kernel, *results, roundings=1):
        """A launch of kernel has made each result: (tensor on the device, Value, and one for the original if that may be less
        accurate). roundings: those of the original to the tensor's type."""
        torch.cuda.synchronize()
        launches = [line for line in map(json.loads, self.log.readlines()) if "FillFunctor" not in line["name"]]
        replaced = all(launch["kind"] == "ours" for launch in launches)
        said = {"kernel": kernel, "replaced": replaced, "error": 0.0, "wrong": 0}
        for tensor, value, *original in results:
            value = original[0] if original and not replaced else value
            unit = UNIT[tensor.dtype] * (1 if replaced else roundings)
            error = (tensor.cpu().double() - value.wanted).abs()
            allowed = value.bound + value.magnitude * unit * 1.01 + roundings * SMALLEST[tensor.dtype]
            said["wrong"] += int((~(error <= allowed)).sum())
            largest = value.magnitude.amax(-1, keepdim=True)  # in its row
            epsilons = error / (2 * UNIT[tensor.dtype] * largest + SMALLEST[tensor.dtype])
            said["error"] = max(said["error"], epsilons.max().item())
        print(json.dumps(said), flush=True)
