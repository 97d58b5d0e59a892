# SPDX-License-Identifier: Apache-2.0
"""What the kernels of the built images, and PyTorch's own, do in a launch; for device.py and model.py. $TEST_BUILD
is the build, build/tools/plan says which kernel runs and with which geometry, for a call with every pointer set.

Walking a kernel takes seconds, so two things are not done twice. What a walk found is kept in the cache folder, under a
hash of the machine code, the launch and the reader itself. And where blocks go through row after row, two short walks
tell what a turn of that loop adds; turns are alike."""
import collections
import functools
import glob
import hashlib
import json
import math
import os
import pathlib
import pickle
import re
import subprocess
import sys

import listing
import sass
import wheel

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
TYPES = {"bf16": 2, "f16": 2, "f32": 4}
# Multiprocessors and shared memory a block may have (V100, T4, A100, H100, B200, RTX PRO 6000).
DEVICES = {70: (80, 98304), 75: (40, 65536), 80: (108, 166912), 90: (132, 232448), 100: (148, 232448),
           120: (188, 101376)}
FORMS = {"sum": {"rms": 1, "rounding": 1}} # scalars of a launch: a sum as vLLM adds it up
TURNS = 3, 5  # of the short walks: past the filling of two stages, and as many even turns as odd ones between them


def rows_of(arch, cols=4096):
    """Enough rows to give every persistent block the same number, and PyTorch's gamma/beta kernel its best shape; more
    of short rows."""
    return min(DEVICES[arch][0] * 64 * max(1, 4096 // cols), 65536)


@functools.lru_cache(None)
def plan(arch, dtype, cols, rows):
    multiprocessors, shared = DEVICES[arch]
    return json.loads(subprocess.run(
        [BUILD / "tools/plan", "--json", "--sms", str(multiprocessors), "--smem", str(shared), "--cc",
         f"{arch // 10}.{arch % 10}", dtype, str(cols), str(rows)], check=True, capture_output=True, text=True).stdout)


@functools.lru_cache(None)
def facts(arch):
    """{kernel: (its file, facts)} of all images of an architecture."""
    found = {name: (path, kernel) for path in sorted(glob.glob(f"{BUILD}/images/*.sm_{arch}.cubin"))
             for name, kernel in listing.cubin_facts(path)[1].items()}
    return found or sys.exit(f"no images of sm_{arch} in {BUILD}/images: run tools/build.sh")


@functools.lru_cache(None)
def parts(path):
    return listing.split(listing.disassemble(path, listing.cubin_facts(path)[0]))


@functools.lru_cache(None)
def code(path, name):
    return listing.parse(parts(path)[name])


@functools.lru_cache(None)
def reader():
    folder = pathlib.Path(__file__).parent
    return b"".join((folder / f"{name}.py").read_bytes() for name in ("sass", "walk", "arithmetic", "listing"))


def measure(arch, path, name, kernel, launch):
    """sass.measure, kept."""
    key = hashlib.sha256(b"".join([reader(), listing.machine_code(path, name), repr((arch, kernel, launch)).encode()]))
    kept = listing.CACHE / "walked" / key.hexdigest()
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    found = sass.measure(arch, kernel, code(path, name), launch)
    kept.parent.mkdir(exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_bytes(pickle.dumps(found))
    part.rename(kept)
    return found


def rows_a_turn(chosen, kernel):
    """Rows that all blocks together take in one turn of their loop."""
    if "_partial" in kernel["name"]:
        return 4 * chosen["parts"]  # kernels/dgamma.cu: four rows in flight, and blocks that share rows
    return kernel["grid"] * (kernel["block"] >> chosen["log_lanes"] if chosen["log_lanes"] else 1)


def between(few, many, share):
    """What lies at that share of the way from few to many, beyond them too; dictionaries member by member."""
    if isinstance(few, dict):
        return {key: between(few.get(key, 0), value, share) for key, value in many.items()}
    return few + (many - few) * share if few != many else many


class Launch:
    """A kernel of a plan and its geometry. null: names of pointers that are NULL."""

    def __init__(self, arch, op, dtype, cols, rows, null, which):
        self.arch, self.cols = arch, cols
        self.scalars = FORMS.get(op, {}) | dict.fromkeys(null.split(), 0)
        self.chosen = plan(arch, dtype, cols, rows)[op]
        self.kernel = self.chosen["kernels"][which]
        self.turn = rows_a_turn(self.chosen, self.kernel)
        self.turns = 1 if which or "_direct_" in self.kernel["name"] else rows / self.turn

    def walk(self, rows):
        values = {key: value for key, value in self.chosen.items() if key != "kernels"}
        values = sass.fuseln_values(rows, self.cols, **values) | self.scalars
        parameters, tensors = sass.pack(sass.fuseln_words(), values)
        path, known = facts(self.arch)[self.kernel["name"]]
        return measure(self.arch, path, self.kernel["name"], known,
                       {"grid": self.kernel["grid"], "block": (self.kernel["block"], 1), "smem": self.kernel["smem"],
                        "parameters": parameters, "tensors": tensors})

    def after(self, turns):
        """What blocks have done after so many turns."""
        few, many = (self.walk(n * self.turn) for n in TURNS)
        return between(few, many, (turns - TURNS[0]) / (TURNS[1] - TURNS[0]))


@functools.lru_cache(None)
def ours(arch, op, dtype, cols, rows=0, null="", which=0):
    """A kernel of the plan, measured, with its name and instructions per element."""
    rows = rows or rows_of(arch, cols)
    launch = Launch(arch, op, dtype, cols, rows, null, which)
    found = launch.walk(rows) if launch.turns <= TURNS[1] else launch.after(launch.turns)
    grid = launch.kernel["grid"]
    return found | {"name": launch.kernel["name"], "ie": per_element(found, grid, rows * cols)}


def per_element(found, grid, elements):
    return found["instructions"] * found["warps"] * 32 * grid / elements


def aten_image(arch):
    venv = os.environ["TEST_VENV"]
    (library,) = glob.glob(f"{venv}/lib/python3*/site-packages/torch/lib/libtorch_cuda.so")
    return str(wheel.layer_norm_image(library, arch, f"{venv}-images"))


@functools.lru_cache(None)
def aten_facts(arch):
    return listing.cubin_facts(aten_image(arch))[1]


@functools.lru_cache(None)
def aten(arch, kernel, dtype, cols, rows):
    """PyTorch's kernel for that shape, measured, with its instructions per element; NaN where the wheel has no image."""
    if arch == 70:
        return collections.defaultdict(lambda: math.nan)
    pattern = wheel.pattern(kernel, dtype, rows, cols)
    (name,) = [name for name in aten_facts(arch) if re.search(pattern, name)]
    words, block, smem, grid = wheel.launch(kernel, rows, cols)
    parameters, tensors = sass.pack(words, {"rows": rows, "cols": cols, "eps": 1e-5})
    found = measure(arch, aten_image(arch), name, aten_facts(arch)[name],
                    {"grid": grid, "block": block, "smem": smem, "parameters": parameters, "tensors": tensors})
    return found | {"ie": per_element(found, grid, rows * cols)}
