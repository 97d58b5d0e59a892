#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a failing driver cost the program anything? host.c runs under libfuseln.so on a driver (budgets/stand_in_cuda.c)
that fails one function from its call N on: once, for a while, or for good. This covers every function that fuseln calls
(kernels/host/libcuda.h), every mode, and known and unknown builds.

    sweep.py [--all] [--seed N]

By default it fails each function's first call in each mode and each way, and a random sample of the rest; --all:
everything, in some minutes. In each run every launch happens once, with the right result and errno (host.c checks
that), the exit code is the program's, and the report counts what the program saw. An error that is over disables
nothing: all launches are replaced (or checked) again. A kernel that was refused for what it is is not tried again."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", SOURCE / "build"))
LIBRARY = os.environ.get("TEST_LIBRARY", str(BUILD / "libfuseln.so"))
sys.path.append(str(SOURCE / "tests"))
from reports import environment  # noqa: E402

ROUNDS = 900  # after the driver had no memory, 255 launches do not ask it for any (kernels/host/scratch.c)
EXIT_FINE = 7
LAYER_NORMS = ("forward", "forward-wide", "moments", "dx-few", "dx", "dgamma", "dgamma-alone", "dgamma-few")

Mode = collections.namedtuple("Mode", "name program settings replaces")
MODES = [
    Mode("replace", "faults_host", {"FUSELN_CHECK": "0"}, True),
    Mode("replace, checked first", "faults_host", {"FUSELN_CHECK": "3"}, True),
    Mode("replace, known build", "faults_host_known", {}, True),
    Mode("replace, no pairs", "faults_host_known", {"FUSELN_SKIP": "pairs"}, True),
    Mode("verify", "faults_host", {"FUSELN_MODE": "verify"}, False),
    Mode("measure", "faults_host", {"FUSELN_MODE": "measure", "FUSELN_CHECK": "0"}, True),
    Mode("measure, checked first", "faults_host", {"FUSELN_MODE": "measure"}, True),
    Mode("observe", "faults_host", {"FUSELN_MODE": "observe"}, False),
]

ERRORS = {"out of memory": 2, "illegal address": 700, "unknown": 999}
FOR_GOOD = {"invalid image": 200, "no binary": 209, "invalid PTX": 218, "out of resources": 701, "not supported": 801}
WAYS = {"once": 1, "a while": 200, "from then on": 10**9}  # calls in a row that fail
# Measuring gives up after a few lost times, and stays with our kernel.
TIMES = {"cuEventCreate", "cuEventRecord", "cuEventQuery", "cuEventElapsedTime"}
# The functions in which these errors mean that a kernel or an image is refused for what it is.
OF_A_KERNEL = {"cuLaunchKernel", "cuModuleLoadData"}

Case = collections.namedtuple("Case", "function first way mode error")


def functions():
    text = (SOURCE / "kernels/host/libcuda.h").read_text()
    return re.findall(r'^\s*X\(\w+,\s*"(\w+)"', text, re.M)


def run(mode, *fault, end="json"):
    """Returns what the program printed, its exit code and messages, and the report."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, f"report.{end}")
        env = environment(LD_PRELOAD=LIBRARY, FUSELN_REPORT=str(report)) | mode.settings
        done = subprocess.run([BUILD / "tests/faults" / mode.program, str(ROUNDS), *map(str, fault)], env=env, text=True,
                              capture_output=True, cwd=folder, timeout=120, check=False)  # fmt: skip
        seen = json.loads(done.stdout) if done.stdout else None
        text = report.read_text() if report.exists() else None
        return seen, done.returncode, done.stderr, json.loads(text) if text and end == "json" else text


def text_lacks(mode):
    """Returns what a text report must say in this mode and does not."""
    wanted = [] if mode.name == "observe" else ["replaced by fuseln_ln_"]
    if mode.name == "verify" or "checked first" in mode.name:
        wanted.append("verified against the original")
    if mode.name.startswith("measure"):
        wanted += ["measured, us", "saved since: "]
    text = run(mode, end="txt")[3] or ""
    return [words for words in wanted if words not in text]


def counts_differ(seen, report):
    """Returns where the report's counts differ from what the program saw, or None."""
    launches = sum(kernel["launches"] for kernel in seen["kernels"].values())
    layer_norms = sum(seen["kernels"][name]["launches"] for name in LAYER_NORMS)
    originals = sum(seen["kernels"][name]["originals"] for name in LAYER_NORMS)
    totals = report["totals"]
    reported = totals["launches"], totals["recognised"], totals["substituted"], totals["passed_through"]
    if reported != (launches, layer_norms, layer_norms - originals, originals):
        return f"the report's totals are {reported}; seen were {(launches, layer_norms, layer_norms - originals, originals)}"
    for site in report["sites"]:
        if site["launches"] != site["substituted"] + sum(site["passed_through"].values()):
            return f"{site['target']}: launches are not those replaced and those passed on"
    return None


def disabled(case, seen):
    """Returns what calls that failed in the first half of the launches disabled for good, or None."""
    calls = seen["calls"][case.function]
    if (case.error in FOR_GOOD and case.function in OF_A_KERNEL) or not calls["failed_half"]:
        return None
    passed = case.way == "once" or case.first + WAYS[case.way] <= calls["half"]
    if not passed:
        given_up = calls["all"] == calls["half"] and case.function not in TIMES
        return f"{case.function} was not called again after {calls['failed']} errors" if given_up else None
    last = {name: seen["kernels"][name] for name in LAYER_NORMS}
    if case.mode.replaces and (late := [name for name in last if last[name]["last_originals"]]):
        return f"still not replaced in the end: {late}"
    if case.mode.name == "verify" and (late := [name for name in last if not last[name]["last_checks"]]):
        return f"no longer checked in the end: {late}"
    return None


def find_lost(case, seen, code, errors, report):
    """Returns what was lost, or None."""
    if code != EXIT_FINE or seen is None:
        return f"exit code {code}, {errors.strip()}"
    if errors:
        return f"printed {errors.strip()}"
    if report is None:
        return "no report"
    if (lost := counts_differ(seen, report)) or not case:
        return lost
    loads = seen["calls"]["cuModuleLoadData"]
    if case.function == "cuModuleLoadData" and case.error in FOR_GOOD and loads["all"] > loads["half"]:
        return f"an image that was refused for what it is was tried again: {loads}"
    return disabled(case, seen)


def firsts(calls, everything, draw):
    """Returns the numbers of the calls at which to begin."""
    early = min(calls, 40)
    if not everything:
        return [1]
    return sorted({*range(1, early + 1), *(draw.randint(1, calls) for _ in range(8 if calls > early else 0))})


def cases_of(mode, calls, everything, draw):
    codes = list(ERRORS) + list(FOR_GOOD)
    for function, count in ((name, of["all"]) for name, of in calls.items()):
        for first in firsts(count, everything, draw) if count else ():
            for way in WAYS:
                errors = codes if everything and first <= 4 else ["unknown"]
                for error in errors:
                    yield Case(function, first, way, mode, error)
                if error := draw.choice(codes) if len(errors) == 1 else None:
                    yield Case(function, first if everything else draw.randint(1, count), way, mode, error)


def carry_out(case):
    code = {**ERRORS, **FOR_GOOD}[case.error]
    seen, exit_code, errors, report = run(case.mode, case.function, case.first, case.first + WAYS[case.way] - 1, code)
    failed = seen["calls"][case.function]["failed"] if seen else 0
    replaced = seen["replaced"] if seen else 0
    return failed, replaced, find_lost(case, seen, exit_code, errors, report)


def as_command(case):
    code = {**ERRORS, **FOR_GOOD}[case.error]
    settings = " ".join(f"{k}={v}" for k, v in case.mode.settings.items())
    return (f"{settings} LD_PRELOAD={LIBRARY} {BUILD}/tests/faults/{case.mode.program} {ROUNDS} {case.function} "
            f"{case.first} {case.first + WAYS[case.way] - 1} {code}")  # fmt: skip


def sweep(everything, seed):
    """[(case, calls that failed, launches replaced, what was lost)]"""
    draw = random.Random(seed)
    cases = []
    reached = set()
    for mode in MODES:
        seen, code, errors, report = run(mode)
        if lost := find_lost(None, seen, code, errors, report):
            sys.exit(f"without a fault, in mode {mode.name}: {lost}")
        if lacking := text_lacks(mode):
            sys.exit(f"the report as text, in mode {mode.name}, does not say {lacking}")
        reached |= {name for name, of in seen["calls"].items() if of["all"]}
        cases += cases_of(mode, seen["calls"], everything, draw)
    if unknown := set(seen["calls"]) ^ set(functions()):
        sys.exit(f"the stand-in driver and kernels/host/libcuda.h differ: {unknown}")
    print(f"{len(reached)} of {len(functions())} functions are called; not called: "
          f"{', '.join(sorted(set(functions()) - reached)) or 'none'}; {len(cases)} runs", flush=True)  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [(case, *result) for case, result in zip(cases, pool.map(carry_out, cases))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = sweep(options.all, options.seed)
    for way in WAYS:
        of_way = [(failed, lost) for case, failed, _, lost in results if case.way == way]
        lost = sum(1 for _, lost in of_way if lost)
        print(f"| a driver call that fails {way} | {len(of_way):,} runs, {sum(f for f, _ in of_way):,} failed calls | "
              f"{lost or 'nothing'} |")  # fmt: skip
    for case, _, _, lost in results:
        if lost:
            print(f"LOST: {case.function}, call {case.first}, {case.way}, {case.error}, {case.mode.name}: {lost}\n"
                  f"  again: {as_command(case)}")  # fmt: skip
    return any(lost for *_, lost in results)


if __name__ == "__main__":
    sys.exit(main())
