# SPDX-License-Identifier: Apache-2.0
"""Prints what bench.csv says: geometric means and extremes beside their budgets. Runs anywhere:
python3 tests/gpu/chart.py bench.csv. tools/gains.py draws a chart of the gains.
Per cent of copy bandwidth: the bytes that must be moved, by the time, relative to the best copy of the same run.
"""

import csv
import math
import sys

ORIGINAL_LONG_US = 20  # from here on launch overhead matters little, so flushed times count; below, the graph's
LARGE_BYTES = 256e6  # several times the L2 of any device
WIDE_ROW_BYTES = 32768
# (op, dtype): geometric mean of the gain where the original is long; no single gain below 0.97 (0.95 for short ones).
GAINS = {("forward", "bf16"): 2.1, ("forward", "f32"): 1.7, ("backward", "bf16"): 2.2, ("backward", "f32"): 2.0}
SHARES = {"forward": 92, "backward": 88, "wider": 80}


def read(path):
    """Returns the rows, with numbers, gain and share, and the best copy bandwidth in bytes per us. Those that answer a
    question of their own are left out: beside other people's kernels, with another library, without parameters."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for key in ("rows", "cols", "original_us", "original_iqr_us", "fuseln_us", "fuseln_iqr_us", "bytes"):
            row[key] = float(row[key] or 0)
    copy = max((row["bytes"] / row["original_us"] for row in rows if row["op"] == "copy"), default=math.nan)
    own = ("peers", "library")
    rows = [row for row in rows if row["op"] != "copy" and row["norm"] != "bare" and not any(map(row.get, own))]
    for row in rows:
        row["gain"] = row["original_us"] / row["fuseln_us"]
        row["share"] = 100 * row["bytes"] / row["fuseln_us"] / copy
        row["original_share"] = 100 * row["bytes"] / row["original_us"] / copy
    return rows, copy


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def name(row):
    return f"{row['model']} {row['rows']:.0f}x{row['cols']:.0f} {row['dtype']} {row['norm']} {row['op']}"


def line(what, count, measured, budget, worst=""):
    met = "-" if budget is None else "met" if measured >= budget else "MISSED"
    budget = "" if budget is None else f"{budget:g}"
    print(f"{what:52} {count:4} {measured:8.3f} {budget:>7}  {met:7}{worst}")


def select(rows, op, dtype, long):
    """Cases where the original takes at least 20 us with a flushed L2; or the shorter ones, from graphs or warm."""
    flushed = {id_of(row): row["original_us"] for row in rows if row["how"] == "flushed"}
    how = "flushed" if long else "graph" if op in ("forward", "dx") else "warm"
    return [row for row in rows if (row["op"], row["dtype"], row["how"]) == (op, dtype, how)
            and (flushed.get(id_of(row), 0) >= ORIGINAL_LONG_US) == long]  # fmt: skip


def gains(rows):
    for op in ("forward", "backward", "dx", "dgamma"):
        for dtype in ("bf16", "f32", "f16", "f64"):
            for long in (True, False):
                chosen = select(rows, op, dtype, long)
                if not chosen:
                    continue
                budget = (GAINS.get((op, dtype)) if long else 1.0) if op in ("forward", "backward") else None
                what = f"{op} {dtype}, original {'>=' if long else '<'} {ORIGINAL_LONG_US} us, {chosen[0]['how']}"
                line(what, len(chosen), mean([row["gain"] for row in chosen]), budget)
                worst = min(chosen, key=lambda row: row["gain"])
                least = (0.97 if long else 0.95) if op in ("forward", "backward") else None
                line("    smallest", "", worst["gain"], least, name(worst))


def id_of(row):
    return row["model"], row["rows"], row["cols"], row["dtype"], row["norm"], row["op"]


def shares(rows):
    for op in ("forward", "backward"):
        for wide in (False, True):
            chosen = []
            for row in rows:
                size = {"f64": 8, "f32": 4}.get(row["dtype"], 2)
                if (row["op"], row["how"]) == (op, "flushed") and row["rows"] * row["cols"] * size >= LARGE_BYTES:
                    chosen += [row] if (row["cols"] * size > WIDE_ROW_BYTES) == wide else []
            if not chosen:
                continue
            budget = SHARES["wider" if wide else op]
            what = f"{op}, tensors >= {LARGE_BYTES / 1e6:.0f} MB, rows {'>' if wide else '<='} 32 KB: % of copy"
            worst = min(chosen, key=lambda row: row["share"])
            line(what, len(chosen), worst["share"], budget, name(worst))
            line("    the original's, geometric mean", "", mean([row["original_share"] for row in chosen]), None)
            line("    ours, geometric mean", "", mean([row["share"] for row in chosen]), None)


def others(path):
    """Prints each flushed time of the rows that read() leaves out, and where other people's kernels stand."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["how"] == "flushed" and row["op"] != "copy"]
    for key in ("rows", "cols"):
        for row in rows:
            row[key] = float(row[key])
    for peer in ("compile", "liger", "quack"):
        chosen = [row for row in rows if row.get(f"{peer}_us")]
        for op in ("forward", "backward", "both"):
            gains = [float(row[f"{peer}_us"]) / float(row["fuseln_us"]) for row in chosen if row["op"] == op]
            if gains:
                print(f"{peer + ' / fuseln, ' + op + ', flushed':52} {len(gains):4} {mean(gains):8.3f}")
    for row in rows:
        if row.get("peers") or row.get("library") or row["norm"] == "bare":
            times = {way: row.get(f"{way}_us") for way in ("original", "fuseln", "compile", "liger", "quack")}
            text = ", ".join(f"{way} {float(time):.1f}" for way, time in times.items() if time)
            print(f"{name(row):48} {row.get('library', ''):9} {text} us {row.get('peers', '')}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: chart.py bench.csv")
    rows, copy = read(sys.argv[1])
    if not rows:
        sys.exit(f"{sys.argv[1]} holds no measured case")
    print(f"copy bandwidth {copy / 1e3:.0f} GB/s, {len(set(map(id_of, rows)))} cases\n")
    print(f"{'geometric means of PyTorch / fuseln':52} {'n':>4} {'measured':>8} {'budget':>7}")
    gains(rows)
    shares(rows)
    others(sys.argv[1])


if __name__ == "__main__":
    main()
