# SPDX-License-Identifier: Apache-2.0
"""What the programs share that launch other people's norms on drawn cases and compare what came out with float64
(torch/norms_table.py runs them, with fuseln and without).

Bounds are those of tests/bounds.py: sums in float, and as many roundings to the element type as the original has (ours
has one)."""

import collections
import ctypes
import json
import os
import pathlib
import re
import sys

import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import bounds  # noqa: E402

SHORT = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
COLS = (1, 64, 77, 768, 1023, 1024, 4096, 8200)
u = 2.0**-24  # unit roundoff of float

Value = collections.namedtuple("Value", "wanted magnitude bound")  # of the terms that it is the sum of; of float's errors


def norm(x, gamma, beta, eps, rms, one_pass=False):
    """y of rows x, all of float64: Value; and bounds.statistics. The original gets eps as a float."""
    eps = torch.tensor(eps, dtype=torch.float32).item()
    found = bounds.statistics(x, eps, rms, u, bounds.chain(x.shape[1]), one_pass)
    y, error = bounds.affine(found["xhat"], gamma, beta, u)
    magnitude = (gamma * found["xhat"][0]).abs() + beta.abs()
    return Value(y, magnitude, error + u * magnitude), found  # gamma may be rounded once: a sum with 1


def both_values(x, gamma, beta, eps, rms=False):
    """For Drawn.say: what is right, and how far an original may be off whose variance is E[x^2] - E[x]^2."""
    return [norm(x, gamma, beta, eps, rms, one_pass and not rms)[0] for one_pass in (False, True)]


def packed(arguments):
    """For a launch: ctypes values of arguments that are tensors, None (a null pointer) or such values, and an array of
    the addresses of these values."""
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else ctypes.c_void_p() if a is None else a
              for a in arguments]  # fmt: skip
    return values, (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))


class Registered:
    """A library that stands for another program's own (registered.c), and the file of the names that it registers."""

    def __init__(self, library, names):
        self.library, self.symbols = ctypes.CDLL(library), pathlib.Path(names).read_text().split()

    def launch(self, kernel, grid, block, smem, *arguments):
        """kernel: what stands in one of the names alone."""
        (symbol,) = (i for i, name in enumerate(self.symbols) if re.search(kernel, name))
        values, addresses = packed(arguments)
        pair = ctypes.c_uint * 2
        assert self.library.registered_launch(symbol, pair(*grid), pair(*block), ctypes.c_size_t(smem), addresses) == 0


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
            finfo, times = torch.finfo(tensor.dtype), 1 if replaced else roundings
            smallest = finfo.tiny * finfo.eps
            error = (tensor.cpu().double() - value.wanted).abs()
            allowed = value.bound + value.magnitude * times * finfo.eps / 2 * 1.01 + roundings * smallest
            said["wrong"] += int((~(error <= allowed)).sum())
            largest = value.magnitude.amax(-1, keepdim=True)  # in its row
            epsilons = error / (finfo.eps * largest + smallest)
            said["error"] = max(said["error"], epsilons.max().item())
        print(json.dumps(said), flush=True)
