# SPDX-License-Identifier: Apache-2.0
"""The budgets of the machine code in the images that were built, for budgets.py; on the command line, what they measure
of one kernel:

    device.py ARCH OP DTYPE COLS [ROWS]     with TEST_BUILD set, as in: device.py 90 forward bf16 4096

Each function yields (name, measured, budget, unit, PyTorch's own figure or None, True if the budget is a minimum).
build/tools/plan says which kernel runs and with which geometry, for a call with every pointer set. Instructions per
element, i/e: issued by all threads of a launch / (rows x cols), so they include all that a row costs, idle lanes too.
PyTorch's kernels are measured in the same way."""
import functools
import glob
import itertools
import json
import os
import re
import subprocess
import sys

import listing
import sass
import wheel

BUILD = os.environ["TEST_BUILD"]
TYPES = {"bf16": 2, "f16": 2, "f32": 4}
# Multiprocessors and shared memory a block may have (V100, T4, A100, H100, B200, RTX PRO 6000).
DEVICES = {70: (80, 98304), 75: (40, 65536), 80: (108, 166912), 90: (132, 232448), 100: (148, 232448),
           120: (188, 101376)}
BUDGETED = (80, 90, 100) # whose instructions have a budget
FORWARD_COLS = (1024, 2048, 4096, 8192, 16384)
BACKWARD_COLS = (256, 512, 1024, 4096, 8192)
REAL_COLS = (768, 1280, 2560, 5120, 12288) # not powers of two; printed without a budget
FLIGHT = {80: 16, 90: 25, 100: 60} # KB of x a multiprocessor
DGAMMA_FLIGHT = 25


def rows_of(arch, cols=4096):
    """Enough rows to give every persistent block the same number, and PyTorch's gamma/beta kernel its best shape; more
    of short rows."""
    return min(DEVICES[arch][0] * 64 * max(1, 4096 // cols), 65536)


@functools.lru_cache(None)
def plan(arch, dtype, cols, rows):
    multiprocessors, shared = DEVICES[arch]
    return json.loads(subprocess.run(
        [f"{BUILD}/tools/plan", "--json", "--sms", str(multiprocessors), "--smem", str(shared), "--cc",
         f"{arch // 10}.{arch % 10}", dtype, str(cols), str(rows)], check=True, capture_output=True, text=True).stdout)


@functools.lru_cache(None)
def facts(arch):
    """{kernel: (its file, facts)} of all images of an architecture."""
    found = {name: (path, kernel) for path in sorted(glob.glob(f"{BUILD}/images/*.sm_{arch}.cubin"))
            for name, kernel in listing.cubin_facts(path)[1].items()}
    return found or sys.exit(f"no images of sm_{arch} in {BUILD}/images: run tools/build.sh")


@functools.lru_cache(None)
def text(path):
    return listing.disassemble(path, listing.cubin_facts(path)[0])


@functools.lru_cache(None)
def code(path, name):
    return listing.parse(text(path), lambda other: other == name)[name]


@functools.lru_cache(None)
def ours(arch, op, dtype, cols, rows=0, null=""):
    """The plan's first kernel, measured, with its name and i/e. null: names of pointers that are NULL."""
    rows = rows or rows_of(arch, cols)
    chosen = plan(arch, dtype, cols, rows)[op]
    kernel = chosen["kernels"][0]
    path, known = facts(arch)[kernel["name"]]
    values = sass.fuseln_values(rows, cols, **{key: value for key, value in chosen.items() if key != "kernels"})
    values |= dict.fromkeys(null.split(), 0)
    parameters, tensors = sass.pack(sass.fuseln_words(), values)
    found = sass.measure(arch, known, code(path, kernel["name"]),
                         {"grid": kernel["grid"], "block": (kernel["block"], 1), "smem": kernel["smem"],
                          "parameters": parameters, "tensors": tensors})
    return found | {"name": kernel["name"], "ie": per_element(found, kernel["grid"], rows * cols)}


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
    """PyTorch's kernel for that shape, measured, with its i/e."""
    pattern = wheel.pattern(kernel, dtype, rows, cols)
    (name,) = [name for name in aten_facts(arch) if re.search(pattern, name)]
    words, block, smem, grid = wheel.launch(kernel, rows, cols)
    parameters, tensors = sass.pack(words, {"rows": rows, "cols": cols, "eps": 1e-5})
    found = sass.measure(arch, aten_facts(arch)[name], code(aten_image(arch), name),
                         {"grid": grid, "block": block, "smem": smem, "parameters": parameters, "tensors": tensors})
    return found | {"ie": per_element(found, grid, rows * cols)}


def label(what, arch, dtype, cols, *names):
    names = [re.sub("^fuseln_ln_|_b?f(16|32)(?=$|_)", "", name) for name in names]
    return f"{what:<22} sm_{arch:<4}{dtype:<5}{cols:>6} {' + '.join(names)}"


def forward():
    for dtype in ("bf16", "f16"):
        for arch in BUDGETED:
            for cols in FORWARD_COLS:
                found = ours(arch, "forward", dtype, cols)
                yield (label("forward i/e", arch, dtype, cols, found["name"]), found["ie"], 12 if arch == 100 else 13,
                       "", aten(arch, "forward", dtype, cols, 1)["ie"], False)
    show("forward", lambda *shape: ours(shape[0], "forward", *shape[1:])["ie"], FORWARD_COLS)


def flight():
    for dtype in TYPES:
        for arch in BUDGETED:
            for cols in FORWARD_COLS:
                found, own = ours(arch, "forward", dtype, cols), aten(arch, "forward", dtype, cols, 1)
                yield (label("forward x in flight", arch, dtype, cols, found["name"]), found["row_kb"], FLIGHT[arch],
                       "KB/SM", own["row_kb"], True)
    for dtype in TYPES:
        for arch in BUDGETED:
            for cols in BACKWARD_COLS:
                found = ours(arch, "dgamma", dtype, cols, null="dx")
                own = aten(arch, "dgamma", dtype, cols, rows_of(arch, cols))
                yield (label("gamma/beta in flight", arch, dtype, cols, found["name"]), found["row_kb"], DGAMMA_FLIGHT,
                       "KB/SM", own["row_kb"], True)


def paired(arch, dtype, cols):
    """(i/e, kernels) of dX with gamma and beta: one kernel where the plans agree on it, else two."""
    kernels = {plan(arch, dtype, cols, rows_of(arch, cols))[op]["kernels"][0]["name"]: op for op in ("dgamma", "dx")}
    return sum(ours(arch, op, dtype, cols)["ie"] for op in kernels.values()), kernels


def backward():
    for dtype in ("bf16", "f16"):
        for arch in BUDGETED:
            for cols in BACKWARD_COLS:
                found, names = paired(arch, dtype, cols)
                budget = 25 if cols <= 1024 else 18 if arch == 100 else 20
                own = sum(aten(arch, kernel, dtype, cols, rows_of(arch, cols))["ie"] for kernel in ("dx", "dgamma"))
                yield label("paired backward i/e", arch, dtype, cols, *names), found, budget, "", own, False
    show("paired backward", lambda *shape: paired(*shape)[0], BACKWARD_COLS)
    for arch in DEVICES:
        used = {name: kernel["registers"] for name, (_, kernel) in facts(arch).items()
                if re.search("_(backward|dx|dgamma)_", name)}
        worst = max(used, key=used.get)
        yield label("backward registers", arch, "all", "", worst), used[worst], 128, "", None, False


def unaligned():
    """At most half the instructions of PyTorch's two kernels, whose loops take 28 and 33 an element."""
    for dtype in ("bf16", "f16", "f32"):
        for arch in BUDGETED:
            for cols in (1023, 4095):
                two = [ours(arch, op, dtype, cols, null=null) for op, null in (("moments", "y"), ("apply", ""))]
                own = sum(aten(arch, kernel, dtype, cols, 1)["ie"] for kernel in ("moments", "apply"))
                yield (label("moments and apply i/e", arch, dtype, cols, *(one["name"] for one in two)),
                       sum(one["ie"] for one in two), own / 2, "", own, False)


def short_accesses(arch, op, dtype, cols, rows):
    """Accesses of less than 16 bytes to rows and parameters."""
    found = ours(arch, op, dtype, cols, rows)
    return {f"{tensor} {size}" for (kind, tensor, size), n in found["access"].items()
            if n and size < 16 and tensor in ("x", "dy", "gamma", "beta", "y", "dx", "?")}


def accesses():
    """Of every variant for aligned rows that some row length chooses, with all lanes busy."""
    for arch in DEVICES:
        widest = {} # (kernel, op): the longest row
        few, many = DEVICES[arch][0] * 8, DEVICES[arch][0] * 32 # rows: gamma and beta have kernels for each
        for dtype, rows in itertools.product(TYPES, (few, many)):
            for cols in (1 << n for n in range(3, 18)):
                for op, chosen in plan(arch, dtype, cols, rows).items():
                    if op in ("forward", "dx", "dgamma") and chosen["width"] == 16:
                        name = chosen["kernels"][0]["name"]
                        if not (name, op) in widest or cols <= 1 << 15: # longer rows only loop more
                            widest[name, op] = dtype, cols, rows
        bad = {name: wrong for (name, op), shape in widest.items() if (wrong := short_accesses(arch, op, *shape))}
        yield (f"variants with accesses under 16 bytes  sm_{arch}, of {len({name for name, _ in widest})}", len(bad), 0,
               "", None, False)
        for name, wrong in sorted(bad.items()):
            print(f"    {name}: {', '.join(sorted(wrong))}")


def stack():
    for arch in DEVICES:
        used = {name: kernel["stack"] for name, (_, kernel) in facts(arch).items() if kernel["stack"]}
        yield f"kernels with stack or local memory     sm_{arch}, of {len(facts(arch))}", len(used), 0, "", None, False
        for name, size in sorted(used.items()):
            print(f"    {name}: {size} bytes")


def show(what, figure, cols):
    """Prints lines without a budget: other architectures and types, and row lengths that leave lanes idle."""
    def line(arch, dtype, shapes):
        print(f"    {what} i/e, sm_{arch} {dtype}, no budget:",
              " ".join(f"{n}: {figure(arch, dtype, n):.1f}" for n in shapes))

    for arch in DEVICES:
        if arch not in BUDGETED:
            line(arch, "bf16", cols)
        line(arch, "f32", cols)
    for arch in BUDGETED:
        line(arch, "bf16", [n for n in REAL_COLS if n < max(cols)])


MEASURES = (stack, accesses, forward, flight, backward, unaligned)

if __name__ == "__main__":
    arch, op, dtype, *shape = sys.argv[1:]
    for key, value in ours(int(arch), op, dtype, *map(int, shape)).items():
        print(f"{key:<12} {value}")
