# SPDX-License-Identifier: Apache-2.0
"""The budgets of the machine code in the images that were built, for budgets.py; on the command line, what they measure
of one kernel, or the recorded figures made anew:

    device.py ARCH OP DTYPE COLS [ROWS]     with TEST_BUILD set, as in: device.py 90 forward bf16 4096
    device.py --record

Each function yields (name, measured, budget, unit, PyTorch's own figure or None, True if the budget is a minimum), a
line for each architecture, type and kind of row, which is the worst width's; above it stands the figure of every width.
Instructions per element, i/e: issued by all threads of a launch / (rows x cols), so they include all that a row costs,
idle lanes too; what recorded.json has for some kinds may not grow. PyTorch's kernels are measured in the same way."""
import itertools
import json
import pathlib
import re
import sys

import listing
from images import DEVICES, TYPES, aten, code, facts, ours, plan, rows_of

RECORDED = pathlib.Path(__file__).with_name("recorded.json")
ROUNDING = 0.05  # recorded figures have one decimal
BUDGETED = (80, 90, 100) # whose backward and bytes in flight have a budget
FORWARD_COLS = (64, 128, 256, 261, 512, 640, 768, 1001, 1024, 1152, 1280, 1600, 2048, 2560, 3072, 4096, 5120, 7168,
                8192, 12288, 14336, 14848, 16384, 20480)
BACKWARD_COLS = FORWARD_COLS[:-1]
FLIGHT = {80: 16, 90: 25, 100: 60} # KB of x a multiprocessor
DGAMMA_FLIGHT = 25
ROUNDS, WARPS, REGISTERS = 4, 16, 128
SUM_COLS = (256, 768, 1024, 2048, 4096, 5120, 8192, 14336, 16384)
SUM_IE = 16 # of full rows of half types
OVER = {(90, 1152)} # (architecture, columns) of held rows whose i/e is above the budget: 14.1
EACH = tuple(itertools.product(DEVICES, TYPES))
FIRST = listing.LOADS | listing.STORES | {"EXIT", "BRA", "BAR", "ACQBULK"}


def is_full(dtype, cols):
    """Do all lanes have as many chunks as their schedule has? Schedules hold powers of two."""
    return (cols * TYPES[dtype]).bit_count() == 1


def is_odd(dtype, cols):
    return cols * TYPES[dtype] % 16 != 0


def kind(arch, op, dtype, cols):
    """Of a row, and its budget of i/e; None: what is recorded."""
    budgeted = dtype != "f32" and arch >= 80  # what is older has no instructions for pairs of bf16, nor as many warps
    if op == "forward" and budgeted and cols >= 1024 and not is_odd(dtype, cols) and cols * TYPES[dtype] <= 32768:
        if (arch, cols) in OVER:
            return "held rows above their budget of 14", None
        return ("full rows", 12 if arch == 100 else 13) if is_full(dtype, cols) else ("other held rows", 14)
    # The other devices have at most two thirds of the A100's bandwidth an SM, so instructions matter less.
    if op == "backward" and arch in BUDGETED and dtype != "f32" and is_full(dtype, cols) and cols >= 256:
        if cols <= 1024:
            return "full rows, short", 25
        if 4096 <= cols <= 8192:
            return "full rows, long", 18 if arch == 100 else 20
    return "all other rows", None


def forward_ie(arch, dtype, cols):
    return ours(arch, "forward", dtype, cols)["ie"]


def paired_ie(arch, dtype, cols):
    """Of dX with gamma and beta: one kernel where dX's plan has room for partial sums, else two."""
    one = plan(arch, dtype, cols, rows_of(arch, cols))["dx"]["scratch_bytes"]
    return sum(ours(arch, op, dtype, cols)["ie"] for op in (("dx",) if one else ("dx", "dgamma")))


FIGURES = {"forward": (forward_ie, FORWARD_COLS), "backward": (paired_ie, BACKWARD_COLS)}


def line(what, arch, dtype, figures, budget, unit="", least=False, own=None):
    """One line for all widths, {cols: figure}: the worst of them."""
    worst = (min if least else max)(figures, key=figures.get)
    name = f"{what:<38} sm_{arch:<4}{dtype:<5}{len(figures):>3} widths, worst {worst}"
    return name, figures[worst], budget, unit, own and own(worst), least


def show(what, arch, dtype, figures):
    print(f"    {what}, sm_{arch} {dtype}:", " ".join(f"{cols}: {figure:.1f}" for cols, figure in figures.items()))


def instructions(op, own):
    """The lines of i/e of an operation: one for each kind of row. own: PyTorch's figure of (arch, dtype, cols)."""
    figure, widths = FIGURES[op]
    recorded = json.loads(RECORDED.read_text())
    for arch, dtype in EACH:
        kinds = {}
        for cols in widths:
            kinds.setdefault(kind(arch, op, dtype, cols), {})[cols] = figure(arch, dtype, cols)
        kept = recorded.get(f"{op} sm_{arch} {dtype}", {})
        for (what, budget), figures in kinds.items():
            show(f"{op} i/e, {what}", arch, dtype, figures)
            if budget:
                yield line(f"{op} i/e, {what}", arch, dtype, figures, budget, own=lambda cols: own(arch, dtype, cols))
            else:
                ratios = {cols: figure / (kept.get(str(cols), 0) + ROUNDING) for cols, figure in figures.items()}
                yield line(f"{op} i/e over recorded, {what}", arch, dtype, ratios, 1)


def record():
    """Makes recorded.json: what instructions() has no other budget for."""
    lines = {}
    for op, (figure, widths) in FIGURES.items():
        for arch, dtype in EACH:
            lines[f"{op} sm_{arch} {dtype}"] = {cols: round(figure(arch, dtype, cols), 1) for cols in widths
                                                if not kind(arch, op, dtype, cols)[1]}
    RECORDED.write_text("{\n" + ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in lines.items()) + "\n}\n")


def forward():
    yield from instructions("forward", lambda arch, dtype, cols: aten(arch, "forward", dtype, cols, 1)["ie"])


def held():
    """What hides latency in rows held in registers: few load rounds, one after the other, and enough warps."""
    for arch, dtype in EACH:
        found = {cols: ours(arch, "forward", dtype, cols) for cols in FORWARD_COLS
                 if cols * TYPES[dtype] <= 32768 and not is_odd(dtype, cols)}
        rounds = ROUNDS + (arch < 80 and dtype == "bf16")  # whose parameters take more registers there
        for what, key, scale, *budget in (("rounds of loads", "rounds", 1, rounds, ""),
                                          ("warps", "resident", 32, WARPS, "an SM", True)):
            figures = {cols: one[key] / scale for cols, one in found.items()}
            show(f"forward {what}", arch, dtype, figures)
            yield line(f"forward {what}, held rows", arch, dtype, figures, *budget)


def flight():
    for arch, dtype in itertools.product(BUDGETED, TYPES):
        found = {cols: ours(arch, "forward", dtype, cols)["row_kb"] for cols in FORWARD_COLS
                 if is_full(dtype, cols) and cols >= 1024}
        yield line("forward x in flight, full rows", arch, dtype, found, FLIGHT[arch], "KB/SM", True,
                   lambda cols: aten(arch, "forward", dtype, cols, 1)["row_kb"])
        found = {cols: ours(arch, "dgamma", dtype, cols, null="dx")["row_kb"] for cols in BACKWARD_COLS
                 if not is_odd(dtype, cols) and cols <= 8192}
        yield line("gamma/beta in flight", arch, dtype, found, DGAMMA_FLIGHT, "KB/SM", True,
                   lambda cols: aten(arch, "dgamma", dtype, cols, rows_of(arch, cols))["row_kb"])


def backward():
    yield from instructions("backward", lambda arch, dtype, cols: sum(
        aten(arch, kernel, dtype, cols, rows_of(arch, cols))["ie"] for kernel in ("dx", "dgamma")))
    for arch in DEVICES:
        used = {name: kernel["registers"] for name, (_, kernel) in facts(arch).items()
                if re.search("_(backward|dx|dgamma)_", name)}
        worst = max(used, key=used.get)
        yield f"backward registers sm_{arch} {worst}", used[worst], REGISTERS, "", None, False


def sums():
    """The forward of a sum, as vLLM's RMS norm has it: sum, y and gamma, no bias, beta or statistics."""
    for arch, dtype in EACH:
        found = {cols: ours(arch, "sum", dtype, cols, null="bias beta mean rstd") for cols in SUM_COLS}
        figures = {cols: one["ie"] for cols, one in found.items()}
        show("sum i/e", arch, dtype, figures)
        if dtype != "f32" and arch >= 80:
            yield line("sum i/e", arch, dtype, {cols: figures[cols] for cols in (2048, 4096, 8192, 16384)}, SUM_IE)
        yield line("sum rounds of loads", arch, dtype, {cols: one["rounds"] for cols, one in found.items()}, ROUNDS)


def prologue():
    """What a block of the backward does before its first row is on its way, at the worst of all schedules."""
    for arch, dtype in itertools.product(BUDGETED, ("bf16", "f32")):
        found = {cols: ours(arch, "dx", dtype, cols)["before_fetch"] for cols in (1 << n for n in range(6, 14))}
        yield line("instructions before the first fetch", arch, dtype, {n: one[0] for n, one in found.items()}, 105)
        yield line("rounds and barriers before it", arch, dtype, {n: sum(one[1:]) for n, one in found.items()}, 0)


def unaligned():
    """At most half the instructions of PyTorch's two kernels, whose loops take 28 and 33 an element."""
    for arch, dtype in itertools.product(BUDGETED, TYPES):
        found = {cols: ours(arch, "moments", dtype, cols, null="y")["ie"] + ours(arch, "apply", dtype, cols)["ie"]
                 for cols in (261, 1001, 4095)}
        own = {cols: sum(aten(arch, kernel, dtype, cols, 1)["ie"] for kernel in ("moments", "apply")) for cols in found}
        yield line("moments and apply i/e over PyTorch's", arch, dtype, {n: found[n] / own[n] for n in found}, 0.5,
                   own=own.get)


def short_accesses(arch, op, dtype, cols, rows):
    """Accesses of less than 16 bytes to rows and parameters."""
    found = ours(arch, op, dtype, cols, rows)
    return {f"{tensor} {size}" for (kind, tensor, size), n in found["access"].items()
            if n and size < 16 and tensor in ("x", "dy", "gamma", "beta", "y", "dx", "residual", "bias", "sum", "?")}


def accesses():
    """Of every variant for aligned rows that some row length chooses, with all lanes busy."""
    for arch in DEVICES:
        widest = {} # (kernel, op): the longest row
        few, many = DEVICES[arch][0] * 8, DEVICES[arch][0] * 32 # rows: gamma and beta have kernels for each
        for dtype, rows in itertools.product(TYPES, (few, many)):
            for cols in (1 << n for n in range(3, 18)):
                for op, chosen in plan(arch, dtype, cols, rows).items():
                    if op in ("forward", "dx", "dgamma", "sum") and chosen["width"] == 16:
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


def starts_right(arch, name, ops):
    """Programmatic dependent launch, from sm_90 on: the reduction waits before it accesses memory, branches or ends; a
    pass that may leave out dX says once, before it writes its sums, that the reduction may start; nobody else does
    either."""
    said = ops.count("ACQBULK"), ops.count("PREEXIT")
    if arch >= 90 and "_dgamma_reduce_" in name:
        return said == (1, 0) and next(op for op in ops if op in FIRST) == "ACQBULK"
    if arch >= 90 and re.search("_backward_(?!cols16384)|_dgamma_partial_", name):
        return said == (0, 1) and "STG" in ops[ops.index("PREEXIT"):]
    return said == (0, 0)


def early():
    for arch in DEVICES:
        wrong = [name for name, (path, _) in facts(arch).items()
                 if not starts_right(arch, name, [instruction.op for instruction in code(path, name)[0]])]
        yield f"kernels that start or wait wrongly     sm_{arch}, of {len(facts(arch))}", len(wrong), 0, "", None, False
        for name in wrong:
            print(f"    {name}")


MEASURES = (stack, early, accesses, forward, held, flight, sums, backward, prologue, unaligned)

if __name__ == "__main__":
    if sys.argv[1] == "--record":
        sys.exit(record())
    arch, op, dtype, *shape = sys.argv[1:]
    for key, value in ours(int(arch), op, dtype, *map(int, shape)).items():
        print(f"{key:<12} {value}")
