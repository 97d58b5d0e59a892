# SPDX-License-Identifier: Apache-2.0
"""How the scripts of this folder run themselves under fuseln: a parent starts children with switch.so and libfuseln.so
preloaded, and reads their reports; a child chooses by original() which way its launches go. The build is $TEST_BUILD.
Libraries that tests/softgpu/run has preloaded stay, so that the same scripts are rehearsed without a GPU.
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from reports import check_sums  # noqa: E402
from reports import environment as clean_environment  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TEST_BUILD", HERE.parents[1] / "build")).resolve()
LIBRARY, SWITCH = BUILD / "libfuseln.so", BUILD / "gpu" / "switch.so"


def make_switch():
    SWITCH.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", SWITCH, HERE / "switch.c", "-ldl"], check=True)


def environment(libraries, **env):
    """Returns this process's environment with these libraries preloaded first, and no settings of fuseln but env's."""
    others = [path for path in os.environ.get("LD_PRELOAD", "").split(":") if path and path != str(LIBRARY)]
    return clean_environment(LD_PRELOAD=":".join([*map(str, libraries), *others]), **env)


def run(script, arguments, report, fuseln=LIBRARY, env=None, capture=True):
    """Runs script ARGUMENT... in its own process, with this libfuseln.so or, None, without; returns its exit status,
    what it printed (None if that was not captured), and its report or None."""
    report.unlink(missing_ok=True)
    # Scratch memory for the widest rows too; an unknown build of PyTorch is replaced from the first launch on.
    settings = {"FUSELN_REPORT": str(report), "FUSELN_SCRATCH": "512M", "FUSELN_CHECK": "0"} | (env or {})
    environ = environment([SWITCH, fuseln] if fuseln else [], **settings)
    command = [sys.executable, "-u", str(script), *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if capture else {}
    done = subprocess.run(command, env=environ, **streams)
    return done.returncode, done.stdout, json.loads(report.read_text()) if report.exists() else None


def wrong_in_report(report, made):
    """Returns what is wrong in the report, as lines, given the calls made: {"forward", "dx", "dgamma": calls,
    "captured": those of dgamma in a capture, "threads": new threads, whose first launch may find no context yet}.
    Those two may be passed on; "pairs", where given, is how many must have been formed."""
    if report is None:
        return ["no report was written"]
    check_sums(report)
    found, passed, launches = [], reasons(report), {}
    context, capture = passed.pop("context", 0), passed.pop("capture", 0)
    if context > made.get("threads", 0) or capture > made.get("captured", 0) or passed:
        found.append(f"passed on: {reasons(report)}, expected: {made}")
    pairs, apart = report["totals"]["pairs"], report["totals"]["unpaired"]
    if made.get("pairs", pairs) != pairs:
        found.append(f"{pairs} pairs, {made['pairs']} expected; apart: {apart}")
    for site in report["sites"]:
        launches[site["op"]] = launches.get(site["op"], 0) + site["launches"]
    two = launches.get("moments", 0)  # a forward in two launches
    seen = {"forward": launches.get("forward", 0) + two, **{op: launches.get(op, 0) for op in ("dx", "dgamma")}}
    if any(site["target"] == "other" for site in report["sites"]):
        found.append("more sites than a report holds: reduce the shapes of this part")
    elif any(seen[op] != made[op] for op in seen) or launches.get("apply", 0) != two:
        found.append(f"launches by op {launches}, calls made {made}")
    return found


def reasons(report):
    """Returns the launches that were passed on, by reason."""
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


def unknown(folder):
    """Makes a libfuseln.so that knows no build of PyTorch, so that its first launches are checked; returns its path."""
    library = re.sub(rb"(?<=\0)[0-9a-f]{40}(?=\0)", b"0" * 40, LIBRARY.read_bytes())
    path = folder / "libfuseln.so"
    path.write_bytes(library)
    return path


def switch_counts():
    """Returns the launches so far: to fuseln, past it."""
    return list((ctypes.c_long * 2).in_dll(switch(), "fuseln_switch_count"))
