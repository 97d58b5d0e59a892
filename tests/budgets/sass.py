# SPDX-License-Identifier: Apache-2.0
"""Measures a kernel's machine code for one launch: the instructions that a warp issues from entry to exit, the width of
its memory accesses, the bytes that it has in flight, registers and stack. For device.py."""
import pathlib
import re
import struct
import sys

import arithmetic
import walk

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Per multiprocessor, from the CUDA C++ Programming Guide: threads, blocks, KB of shared memory, and the bytes of it
# that the system reserves in each block. All have 65,536 registers, allocated by warp in units of 256.
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
    40: name}}. Of each warp lanes 0 and 31 are walked, and the longer walk stands for the warp; of more than four warps
    only the first two and the last are walked, and the second stands for all in between. Figures are means over the
    warps."""
    x, y = launch["block"]
    bank = constants(arch, launch["block"], launch["grid"], kernel["parameters"], launch["parameters"])
    prepared = walk.Launch(*code, bank, launch["tensors"])
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
    return {"registers": kernel["registers"], "stack": kernel["stack"], "resident": resident, "warps": count,
            "instructions": mean(lambda one: one.issued, warps), "busiest": max(warp.issued for warp, _ in warps),
            "rounds": max(warp.rounds for warp, _ in warps), "flight": flight, "row_flight": rows,
            "before_fetch": max((one.before_fetch for one, _ in lanes if one.before_fetch), default=None),
            "kb": flight * resident / 1024, "row_kb": rows * resident / 1024,
            "access": {key: mean(lambda one, key=key: one.access[key], lanes) for key in keys}, "ops": warps[0][0].ops}


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
    """The parameters of a launch of ours that are neither pointers nor part of the plan."""
    return {"rows": rows, "cols": cols, "out_rows": 1, "eps": 1e-5, "eps_f": 1e-5, "inverse_cols": 1 / cols,
            "inverse_cols_f": 1 / cols} | more
