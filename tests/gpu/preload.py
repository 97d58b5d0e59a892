# SPDX-License-Identifier: Apache-2.0
"""How the scripts of this folder run themselves under fuseln: parents start children with libfuseln.so preloaded,
behind switch.so, and read their reports; children choose by original() which way their launches go. The build is
$TEST_BUILD. Under tests/softgpu/run the libraries that are preloaded already stay: so the same scripts are rehearsed
without a GPU.
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", HERE.parents[1] / "build")).resolve()
SWITCH = BUILD / "gpu" / "switch.so"
SETTINGS = (HERE.parents[1] / "src" / "base" / "config.h").read_text()
# Settings that not every version has: an unknown build of PyTorch is replaced from the first launch on.
LATER = {"CHECK": "0"}


def make_switch():
    SWITCH.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", SWITCH, HERE / "switch.c", "-ldl"], check=True)


def run(script, arguments, report, fuseln=True, env=None, capture=True):
    """Runs script ARGUMENT... in its own process; returns its exit status, what it printed (None if that was not
    captured), and its report or None."""
    report.unlink(missing_ok=True)
    libraries = os.environ.get("LD_PRELOAD", "").split(":")
    library = str(BUILD / "libfuseln.so")
    libraries = [path for path in libraries if path and path != library]
    if fuseln:
        libraries = [str(SWITCH), library, *libraries]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")} | {
        "LD_PRELOAD": ":".join(libraries),
        "FUSELN_REPORT": str(report),
        "FUSELN_SCRATCH": "512M",  # the widest rows too
    }
    for name, value in LATER.items():
        if f"X({name}," in SETTINGS:
            environment[f"FUSELN_{name}"] = value
    command = [sys.executable, "-u", str(script), *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if capture else {}
    done = subprocess.run(command, env=environment | (env or {}), **streams)
    return done.returncode, done.stdout, json.loads(report.read_text()) if report.exists() else None


def check_sums(report):
    """What every report must satisfy."""
    totals = report["totals"]
    assert totals["recognised"] == totals["substituted"] + totals["passed_through"], totals
    assert totals["recognised"] == sum(site["launches"] for site in report["sites"]), totals
    assert totals["substituted"] == sum(site["substituted"] for site in report["sites"]), totals


def judge(report, made):
    """What the report must not say, as lines, beside the calls that were made: {"forward", "dx", "dgamma": calls,
    "captured": those of dgamma in capture, "threads": new threads, whose first launch may find no context yet}."""
    if report is None:
        return ["no report was written"]
    check_sums(report)
    found, passed, launches = [], reasons(report), {}
    context, capture = passed.pop("context", 0), passed.pop("capture", 0)
    if context > made.get("threads", 0) or capture != made.get("captured", 0) or passed:
        found.append(f"passed on: {reasons(report)}, expected: {made}")
    for site in report["sites"]:
        launches[site["op"]] = launches.get(site["op"], 0) + site["launches"]
    two = launches.get("moments", 0)  # a forward in two launches
    told = {"forward": launches.get("forward", 0) + two, **{op: launches.get(op, 0) for op in ("dx", "dgamma")}}
    if any(site["target"] == "other" for site in report["sites"]):
        found.append("more sites than a report holds: give this part fewer shapes")
    elif any(told[op] != made[op] for op in told) or launches.get("apply", 0) != two:
        found.append(f"launches by op {launches}, calls made {made}")
    return found


def reasons(report):
    """Launches that were passed on, by reason."""
    found = {}
    for site in report["sites"]:
        for reason, count in site["passed_through"].items():
            found[reason] = found.get(reason, 0) + count
    return found


@functools.cache
def switch():
    return ctypes.CDLL(str(SWITCH))


@contextlib.contextmanager
def original():
    """Launches inside go past fuseln to the runtime: PyTorch's own kernels."""
    way = ctypes.c_int.in_dll(switch(), "fuseln_switch")
    way.value = 1
    try:
        yield
    finally:
        way.value = 0


def switch_counts():
    """Launches so far: to fuseln, past it."""
    return list((ctypes.c_long * 2).in_dll(switch(), "fuseln_switch_count"))
