#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model of the time that our kernels take: predictions, for a machine without a GPU. No figure here is measured but
those read from tests/gpu/results, and no constant was chosen to meet them.

    model.py                      predicted times of the bench's shapes, and the model's error against measured ones
    model.py --table [FILE]       predicted.md, by the figures of $TEST_BUILD or of FILE
    model.py --keep FILE          what the machine code in $TEST_BUILD says of the bench's shapes, to FILE

time of a launch = (DRAM^4 + lat^4)^(1/4) + 2 us
    DRAM = compulsory bytes / bandwidth of a copy; partial sums, and rows that are read twice and outgrow L2, count.
    lat  = blocks one after the other on an SM x (first round + (rounds - 1) x L2 round + instructions x cycles / clock)
A round is a load whose value is waited for; a warp gets to issue every 4 cycles, or less often where an SM's four
schedulers have more than 4 warps each. Blocks that go from row to row fetch a turn ahead: then a turn's first round
costs only what the turn itself does not cover. Rounds, instructions and warps come from the machine code."""
import collections
import csv
import math
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "gpu"))
import bench  # noqa: E402

RESULTS = HERE.parent / "gpu/results"
KEPT, PREDICTED = HERE / "figures", HERE / "predicted.md"
UNPAIRED = "h100-2026-11-27"  # results of kernels that made no pairs
DTYPES = {"bf16": 2, "f16": 2, "f32": 4}
LAUNCH_US, POWER, L2_ROUND_US = 2.0, 4, 0.20
COPY_SHARE = 3007 / 3352  # of the memory bandwidth: what a copy reached on the H100 of results/h100-2026-11-27

# SMs, clocks, memory bandwidths and sizes of L2 are from NVIDIA's data sheets and white papers; the B200's were read
# from the device (pytorch/ao#4002), the H100's clock in its run. No source gives the latency of a loaded memory: the
# first round, and L2's (0.15 us on an idle B200, Chips and Cheese), were assumed before any kernel of ours had run.
Device = collections.namedtuple("Device", "arch sms clock_ghz copy_gbs l2_mb first_us")
DEVICES = {
    "A100": Device(80, 108, 1.41, 2039 * COPY_SHARE, 40, 0.50),
    "H100": Device(90, 132, 1.98, 3352 * COPY_SHARE, 50, 0.55),
    "H200": Device(90, 132, 1.98, 4800 * COPY_SHARE, 50, 0.55),
    "B200": Device(100, 148, 1.965, 7670 * COPY_SHARE, 126, 0.65),
}
# What the machine code says of a launch: blocks, warps of each, how many blocks an SM holds, turns, rounds and
# instructions of a warp before its turns and in each of them, bytes of partial sums, how often a row is read.
Figures = collections.namedtuple("Figures", "blocks warps resident turns rounds instructions turn_rounds "
                                            "turn_instructions partial_bytes reads")
# launch: (the plan's op, which of its kernels, pointers that are NULL, tensors and vectors of `cols` that it touches).
LAUNCHES = {
    "forward": ("forward", 0, "", 2, 2), "moments": ("moments", 0, "y", 1, 0), "apply": ("apply", 0, "", 2, 2),
    "dx": ("dx", 0, "partials", 3, 1), "pass": ("dx", 0, "", 3, 3), "sums": ("dgamma", 0, "dx", 2, 2),
    "reduce": ("dgamma", 1, "", 0, 2)}
BACKWARD = {"dgamma": "sums", "backward": "pass"}  # operations: the launch that touches as much


def shapes():
    return sorted({(rows, cols) for _, rows, cols in bench.CORE + bench.MORE}, key=lambda shape: shape[::-1])


def figures_of(arch, dtype, rows, cols, what):
    """None where the plan has no such kernel."""
    import images

    op, which, null, *_ = LAUNCHES[what]
    chosen = images.plan(arch, dtype, cols, rows)[op]
    if which >= len(chosen["kernels"]):
        return None
    launch = images.Launch(arch, op, dtype, cols, rows, null, which)
    many = images.Launch(arch, op, dtype, cols, 1 << 20, null, which)
    if many.kernel["name"] == launch.kernel["name"] and many.turns > images.TURNS[1]:
        once, after = launch.after(0), launch.after(1)
    else:
        once = after = launch.walk(rows)
    return Figures(launch.kernel["grid"], once["warps"], once["resident"] // (once["warps"] * 32),
                   math.ceil(launch.turns), round(once["rounds"]), round(once["instructions"]),
                   round(after["rounds"] - once["rounds"]), round(after["instructions"] - once["instructions"]),
                   0 if "partials" in null else chosen["scratch_bytes"],
                   1 + ("_twice_" in launch.kernel["name"]))


def figures(arch, dtype, rows, cols):
    """{launch: Figures} of a shape: of the forward one or, as PyTorch does where 4 does not divide the columns, two;
    `pass` only where dX's plan has room for partial sums."""
    import images

    chosen = images.plan(arch, dtype, cols, rows)
    left_out = {"forward"} if cols % 4 else {"moments", "apply"}
    left_out |= set() if chosen["dx"]["scratch_bytes"] else {"pass"}
    return {what: found for what in LAUNCHES if what not in left_out and
            (found := figures_of(arch, dtype, rows, cols, what))}


# The model.
def compulsory(what, rows, cols, size):
    """Bytes of tensors, parameters and statistics, each once, as bench.csv counts them."""
    *_, tensors, vectors = LAUNCHES[BACKWARD.get(what, what)]
    statistic = 8 * rows if tensors else 0  # mean and rstd
    return tensors * rows * cols * size + vectors * cols * size + statistic


def launch_us(device, found, what, rows, cols, size):
    blocks = min(found.resident, math.ceil(found.blocks / device.sms))  # on an SM at once
    read = 1 if what in ("forward", "moments", "apply") else 2  # x, and dy
    moved = compulsory(what, rows, cols, size) + found.partial_bytes
    in_l2 = device.l2_mb * 1e6 / 2  # each half of L2 keeps what its half of the SMs read
    if found.reads > 1 and blocks * device.sms * read * cols * size > in_l2:
        moved += read * rows * cols * size
    if what == "apply" and rows * cols * size <= in_l2:
        moved -= rows * cols * size
    dram = moved / device.copy_gbs / 1e3
    cycle = max(4, blocks * found.warps / 4) / device.clock_ghz / 1e3
    turn = max(device.first_us, max(0, found.turn_rounds - 1) * L2_ROUND_US + found.turn_instructions * cycle)
    once = device.first_us + max(0, found.rounds - 1) * L2_ROUND_US + found.instructions * cycle
    waves = max(1, found.blocks / (found.resident * device.sms))
    lat = waves * (once + (found.turns * turn if found.turn_instructions else 0))
    return (dram**POWER + lat**POWER) ** (1 / POWER) + LAUNCH_US


def predicted(device, shape, size, found):
    """{operation: us} of a shape: dgamma is alone, `apart` both, `backward` in pairs where the plan has them."""
    us = {what: launch_us(device, one, what, *shape, size) for what, one in found.items()}
    times = {"forward": us["forward"] if "forward" in us else us["moments"] + us["apply"], "dx": us["dx"],
             "dgamma": us["sums"] + us.get("reduce", 0)}
    times["apart"] = times["dx"] + times["dgamma"]
    return times | {"backward": us["pass"] + us["reduce"] if "pass" in us else times["apart"]}


# Kept figures, and measured results.
def built():
    """{(arch, dtype, rows, cols): figures} of the images in $TEST_BUILD, f16 on the H100 alone, to compare."""
    return {(arch, dtype, *shape): figures(arch, dtype, *shape)
            for arch in sorted({device.arch for device in DEVICES.values()})
            for dtype in DTYPES if dtype != "f16" or arch == 90 for shape in shapes()}


def keep(path, every):
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["arch", "dtype", "rows", "cols", "launch", *Figures._fields])
        table.writerows((*key, what, *found) for key, one in every.items() for what, found in one.items())


def kept(path):
    every = {}
    with open(path, newline="") as file:
        for arch, dtype, rows, cols, what, *numbers in list(csv.reader(file))[1:]:
            every.setdefault((int(arch), dtype, int(rows), int(cols)), {})[what] = Figures(*map(int, numbers))
    return every


def measured(folder):
    """(device, [((op, dtype, rows, cols), us)]) of a results folder: layer norms, caches cold; without what varied by
    more than a quarter."""
    header = (folder / "bench.txt").read_text()
    (name,) = [name for name in DEVICES if f"NVIDIA {name}" in header.splitlines()[0]]
    with open(folder / "bench.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["how"] == "flushed" and row["op"] != "both"
                and row["fuseln_us"] and not row.get("library")]
    return name, [((row["op"], row["dtype"], int(row["rows"]), int(row["cols"])), float(row["fuseln_us"]))
                  for row in rows if row["norm"] == "layer" and row["dtype"] in DTYPES
                  and float(row["fuseln_iqr_us"]) <= float(row["fuseln_us"]) / 4]


def errors(name, measured_times, every, pairs=True):
    """[((op, dtype, rows, cols), (predicted, measured))]. Left out: gamma and beta of more than 65,536 rows, in whose
    time the program's own two sums are. pairs: were there any when `backward` was measured?"""
    found = []
    for (op, dtype, rows, cols), us in measured_times:
        one = every.get((DEVICES[name].arch, dtype, rows, cols))
        if one and (op in ("forward", "dx") or rows <= 65536):
            times = predicted(DEVICES[name], (rows, cols), DTYPES[dtype], one)
            found.append(((op, dtype, rows, cols), (times[op if pairs or op != "backward" else "apart"], us)))
    return found


def ranks(values):
    order = sorted(values)
    return [order.index(value) for value in values]


def mean_error(pairs):
    return statistics.mean(abs(model / us - 1) for model, us in pairs)


def error_lines(folder, every):
    """By the figures that were kept of what was measured, else by `every`."""
    path = KEPT / f"{folder.name}.csv"
    name, times = measured(folder)
    found = errors(name, times, kept(path) if path.exists() else every, folder.name != UNPAIRED)
    yield f"error against {folder.name}, flushed, by {'its kept' if path.exists() else 'present'} figures"
    for op, dtype in sorted({key[:2] for key, _ in found}):
        pairs = [pair for key, pair in found if key[:2] == (op, dtype)]
        worst = max(pairs, key=lambda pair: abs(pair[0] / pair[1] - 1))
        correlation = statistics.correlation(*(ranks([pair[i] for pair in pairs]) for i in (0, 1)))
        yield (f"{op:<9}{dtype:<5}{len(pairs):>3} shapes: rank correlation {correlation:.3f}, mean error "
               f"{mean_error(pairs):.0%}, worst {worst[0] / worst[1] - 1:+.0%}")


# What is printed.
def all_times(every):
    """{(device, dtype, rows, cols): predicted times}"""
    return {(name, dtype, *shape): predicted(device, shape, DTYPES[dtype], every[device.arch, dtype, *shape])
            for name, device in DEVICES.items() for dtype in ("bf16", "f32") for shape in shapes()
            if (device.arch, dtype, *shape) in every}


def share(us, op, name, dtype, rows, cols):
    """Percent of a copy of the compulsory bytes."""
    return compulsory(op, rows, cols, DTYPES[dtype]) / us / DEVICES[name].copy_gbs / 10


def print_all(every):
    for key, times in all_times(every).items():
        cells = (f"{op} {times[op]:7.1f} us {share(times[op], op, *key):4.0f} % of copy"
                 for op in ("forward", "dx", "backward"))
        print(f"predicted, {key[0]} {key[1]:<5}{key[2]:>8}x{key[3]:<6} {', '.join(cells)}")


def table(times):
    """The lines of predicted.md. times: all_times."""
    columns = [(name, op) for name in DEVICES if any(key[0] == name for key in times) for op in ("forward", "backward")]
    yield f"| | {' | '.join(map(' '.join, columns))} |"
    yield "|---" * (1 + len(columns)) + "|"
    for dtype in ("bf16", "f32"):
        for shape in shapes():
            us = [times[name, dtype, *shape][op] for name, op in columns]
            cells = (f"{one:.1f}, {share(one, op, name, dtype, *shape):.0f} %" for one, (name, op) in zip(us, columns))
            yield f"| predicted {dtype} {shape[0]}x{shape[1]} | {' | '.join(cells)} |"


def write_table(times):
    PREDICTED.write_text("""# Predicted times

Predicted, not measured: microseconds by `model.py`, which says how, and how far it was off where there is a measured
time; and the share of the bandwidth of a copy. `backward` is dX with gamma and beta, in pairs where the plan has them,
without the rows of zeros that PyTorch asks for above 65,536 rows; no launch overlaps another. `model.py --table` writes
this file.

""" + "\n".join(table(times)) + "\n")


def main():
    if sys.argv[1:2] == ["--keep"]:
        return keep(sys.argv[2], built())
    every = kept(sys.argv[2]) if sys.argv[2:] else built()
    if sys.argv[1:2] == ["--table"]:
        return write_table(all_times(every))
    print_all(every)
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        for line in error_lines(folder, every):
            print(line)


if __name__ == "__main__":
    main()
