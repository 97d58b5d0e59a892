#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the machine code of kernels: what a thread issues from entry to exit, the width of its accesses to memory, the
bytes it has in flight, registers and stack. For tests/budgets/device.py; on the command line, one line per kernel:

    sass.py FILE.cubin... [KERNEL-REGEX] [--cols N] [--rows N] [--grid N] [--block N] [--smem N] [--loops] ...

The launch is made up for fuseln's kernels (8192 rows, a ring of two stages, 264 blocks and partial rows, as many
columns as the schedule in the name holds), unless told. Needs nvdisasm (tools/setup.sh: fuseln_need_nvdisasm).
"""
import argparse
import collections
import os
import pathlib
import re
import struct
import sys

import arithmetic
import listing
import walk

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Per multiprocessor, from the CUDA C++ Programming Guide: threads, blocks, bytes of shared memory, and what of it each
# block takes for the system. All have 65,536 registers, given out by warps in units of 256.
LIMITS = {70: (2048, 32, 96, 0), 75: (1024, 16, 64, 0), 80: (2048, 32, 164, 1024), 90: (2048, 32, 228, 1024),
          100: (2048, 32, 228, 1024), 120: (1536, 24, 100, 1024)}


def occupancy(arch, registers, threads, shared):
    """Blocks that one multiprocessor holds."""
    most, blocks, memory, reserved = LIMITS[arch]
    warps = (threads + 31) // 32
    per_warp = (max(registers, 1) * 32 + 255) // 256 * 256
    unit = 256 if arch < 80 else 128
    by_memory = memory * 1024 // max((shared + reserved + unit - 1) // unit * unit, 1)
    return min(most // (warps * 32), blocks, 65536 // per_warp // 4 * 4 // warps, by_memory)


def constants(arch, block, grid, at, parameters):
    """{offset: 32-bit word} of constant bank 0: the launch's geometry, then the parameters."""
    geometry, step = (0x360, 4) if arch >= 100 else (0, 3)
    words = {geometry + 4 * i: v for i, v in enumerate((*block, 1))}
    words |= {geometry + 4 * (step + i): v for i, v in enumerate((grid, 1, 1))}
    parameters = parameters + bytes(-len(parameters) % 4)
    return words | {at + i: struct.unpack_from("<I", parameters, i)[0] for i in range(0, len(parameters), 4)}


def measure(arch, kernel, code, launch):
    """What one block of a launch issues. launch: {grid, block: (x, y), smem, parameters: bytes, tensors: {address >>
    40: name}}, and for a row's overhead pitch, the bytes of a row. Lanes 0 and 31 of a warp are walked, the longer of
    them is the warp's; of more than four warps, the first two and the last are, the second for all in between. Figures
    are means over the warps."""
    x, y = launch["block"]
    bank = constants(arch, launch["block"], launch["grid"], kernel["parameters"], launch["parameters"])
    prepared = walk.Launch(*code, bank, launch["tensors"], launch.get("pitch", 0))
    count = (x * y + 31) // 32
    chosen = {0: 1, 1: count - 2, count - 1: 1} if count > 4 else dict.fromkeys(range(count), 1)
    warps, lanes = [], []
    for number, weight in chosen.items():
        pair = [walk.Walk(prepared, {"SR_TID.X": tid % x, "SR_TID.Y": tid // x, "SR_TID.Z": 0, "SR_LANEID": tid % 32,
                                     "SR_CTAID.X": 0}).run(arithmetic.INSTRUCTIONS)
                for tid in (number * 32, min(number * 32 + 31, x * y - 1))]
        lanes += [(one, weight) for one in pair]
        warps.append((max(pair, key=lambda one: one.issued), weight))
    blocks = occupancy(arch, kernel["registers"], x * y, kernel["shared"] + launch["smem"])
    resident = blocks * x * y

    def mean(value, walks):
        return sum(value(one) * weight for one, weight in walks) / sum(weight for _, weight in walks)

    flight, rows = mean(lambda one: one.flight, lanes), mean(lambda one: one.row_flight, lanes)
    keys = {key for lane, _ in lanes for key in lane.access}
    first = warps[0][0]
    return {"registers": kernel["registers"], "stack": kernel["stack"], "resident": resident, "warps": count,
            "instructions": mean(lambda one: one.issued, warps), "busiest": max(warp.issued for warp, _ in warps),
            "rows": max(len(lane.touched) for lane, _ in lanes), "rounds": max(warp.rounds for warp, _ in warps),
            "overhead": mean(lambda one: len(one.overhead()), warps), "flight": flight, "row_flight": rows,
            "kb": flight * resident / 1024, "row_kb": rows * resident / 1024,
            "access": {key: mean(lambda one, key=key: one.access[key], lanes) for key in keys},
            "loops": first.loops, "ops": first.ops, "first": first}


def pack(words, values):
    """Parameters in C's layout, and the tensors among them. words: "cols:i eps:f x ...", a letter of struct or none for
    a pointer. A pointer names its own tensor unless values has it (0 for NULL)."""
    data, tensors = bytearray(), {}
    for word in words.split():
        name, _, form = word.partition(":")
        value = values.get(name, 0)
        if not form and name not in values:
            tensors[len(tensors) + 1] = name
            value = len(tensors) << 40
        form = form or "Q"
        data += bytes(-len(data) % struct.calcsize(form)) + struct.pack("<" + form, value)
    return bytes(data + bytes(-len(data) % 8)), tensors


def fuseln_words(header=ROOT / "kernels/params.h"):
    """struct fuseln_ln_params of kernels/params.h in the words of pack()."""
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(header).read_text(), flags=re.S)
    forms = {"void": "", "long long": ":q", "double": ":d", "float": ":f", "int": ":i", "unsigned": ":I"}
    words = []
    for declaration in re.search(r"struct fuseln_ln_params \{(.*?)\};", text, re.S)[1].split(";"):
        match = re.fullmatch(r"\s*(?:const )?(void|long long|double|float|int|unsigned)\b(.*?)\s*", declaration, re.S)
        if match:
            words += [name.strip(" *\n") + ("" if "*" in name else forms[match[1]]) for name in match[2].split(",")]
        elif declaration.strip():
            sys.exit(f"sass.py: {header}: cannot read: {declaration.strip()}")
    return " ".join(words)


def fuseln_values(rows, cols, **more):
    """What every launch of ours passes, besides pointers and what a plan decides."""
    return {"rows": rows, "cols": cols, "out_rows": 1, "eps": 1e-5, "eps_f": 1e-5, "inverse_cols": 1 / cols,
            "inverse_cols_f": 1 / cols} | more


def default_cols(name, size):
    """As many columns as the schedule in a kernel's name holds."""
    match = re.search(r"_(lanes|warp|block|cols)(\d+)(?:x(\d+))?_", name)
    if not match:
        return 131072 // size if "twice" in name else 32768 // size
    what, number, chunks = match[1], int(match[2]), int(match[3] or 0)
    if what == "cols":
        return number
    return {"lanes": number * (chunks or 1), "warp": 32 * number, "block": number * (chunks or 8)}[what] * 16 // size


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cubin", nargs="+")
    for name in ("cols", "rows", "grid", "block", "smem", "partial-rows"):
        parser.add_argument("--" + name, type=int)
    parser.add_argument("--null", default="", help="comma list of parameters that are NULL")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other parameter")
    parser.add_argument("--params", default=ROOT / "kernels/params.h", help="the header the kernels were built with")
    parser.add_argument("--loops", action="store_true", help="each loop: trips, instructions, bytes")
    parser.add_argument("--ops", action="store_true", help="instructions issued, by name")
    parser.add_argument("--overhead", action="store_true", help="the same of a row's overhead")
    return parser.parse_args()


def launch_of(name, kernel, cols, size, options):
    partial = options.partial_rows or 264
    narrow = "narrow" in name or "apply" in name
    values = fuseln_values(options.rows or 8192, cols, partial_rows=partial, parts=partial, stages=2,
                           width=size if narrow else 16)
    values |= dict.fromkeys(filter(None, options.null.split(",")), 0)
    values |= {key: int(value) for key, value in (setting.split("=") for setting in options.set)}
    parameters, tensors = pack(fuseln_words(options.params), values)
    return {"grid": options.grid or 264, "block": (options.block or kernel["threads"], 1), "smem": options.smem or 0,
            "parameters": parameters, "tensors": tensors, "pitch": cols * size}


def print_kernel(arch, name, kernel, code, options):
    size = 8 if "f64" in name else 4 if "f32" in name else 2
    cols = options.cols or default_cols(name, size)
    found = measure(arch, kernel, code, launch_of(name, kernel, cols, size, options))
    loaded = sum(n * width for (kind, tensor, width), n in found["access"].items()
                 if tensor == "x" and kind in ("load", "async")) / size
    used = collections.defaultdict(list)
    for (kind, tensor, width), n in sorted(found["access"].items()):
        if kind in ("load", "async", "store"):
            used[tensor].append(f"{n:g}x{width}")
    print(f"sm_{arch} {name}: {cols} cols; {found['registers']} registers, stack {found['stack']}, {found['resident']} "
          f"threads resident; issued {found['instructions']:.0f} a warp (busiest {found['busiest']}), {loaded:g} "
          f"elements a thread, {found['instructions'] / loaded if loaded else 0:.2f} i/e; row overhead "
          f"{found['overhead'] / max(found['rows'], 1):.0f} for each of {found['rows']} rows; in flight "
          f"{found['flight']:g} B, {found['kb']:.1f} KB/SM (x, dy: {found['row_flight']:g} B, {found['row_kb']:.1f}), "
          f"rounds {found['rounds']};", *(f"{tensor} {'+'.join(each)}" for tensor, each in used.items()))
    if options.loops:
        for loop in found["loops"].values():
            print(f"    loop {loop['head'] * 16:#06x}-{loop['tail'] * 16:#06x}: {loop['trips']} times back, "
                  f"{loop['instructions'] / loop['trips']:.1f} instructions each, bytes {dict(loop['bytes'])}")
    for title, wanted, ops in (("issued", options.ops, found["ops"]),
                               ("row overhead", options.overhead,
                                collections.Counter(one.full for one in found["first"].overhead()))):
        if wanted:
            print(f"    {title}:", " ".join(f"{op}:{n}" for op, n in ops.most_common()))


def main():
    options = command_line()
    pattern = "." if os.path.exists(options.cubin[-1]) else options.cubin.pop()
    for path in options.cubin:
        try:
            arch = listing.cubin_facts(path)[0]
            for name, (kernel, code) in listing.read(path, lambda name: re.search(pattern, name)).items():
                print_kernel(arch, name, kernel, code, options)
        except (OSError, struct.error, KeyError, IndexError, ValueError, RuntimeError) as error:
            sys.exit(f"sass.py: {path}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
