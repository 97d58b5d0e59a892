# SPDX-License-Identifier: Apache-2.0
"""Runs a program that draws cases of its own norms (programs/norms.py) with fuseln and without, and prints a table."""

import collections
import json
import os
import pathlib
import re
import subprocess

import torch
from conftest import PROGRAMS, ROOT, check_sums
from test_verify import unknown

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "fuseln")


def draw(run, command, **env):
    """Runs a program that draws cases: the cases by kernel, and fuseln's report."""
    log = run.folder / "log"
    log.write_text("")
    done = run(list(map(str, command)), env={"SOFTGPU_LOG": str(log)} | env, fuseln="FUSELN_MODE" not in env,
               timeout=1000)  # fmt: skip
    cases = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        case = json.loads(line)
        cases[case.pop("kernel")].append(case)
    return cases, run.report()


def reasons(report, kernel):
    """Why launches of a target were not replaced, as the report says."""
    counts = collections.Counter()
    for site in report["sites"]:
        if site["target"] == kernel:
            counts.update(site["passed_through"])
    return ", ".join(f"{reason} {n}" for reason, n in counts.items())


def assert_known(report, program):
    """The cases ran with known builds of the program. Some programs have a build for each Python; what a row says of one is
    shown where the tests run with that Python (Debian 12 has 3.11, 13 has 3.13)."""
    rows = (ROOT / "hooks" / "targets" / f"{program}.c").read_text()
    ours = [site for site in report["sites"] if site["target"].startswith(f"{program}/")]
    assert {site["build_id"] for site in ours} <= set(re.findall(r'"([0-9a-f]{40})"', rows))
    assert ours


def compare(run, command, capsys, known=None):
    """Runs the program alone, then with fuseln replacing all that it can, from the first launch on, and prints the table.
    Returns the number of replaced cases by kernel; none may be wrong. known: a program whose builds are known."""
    alone, _ = draw(run, command, FUSELN_MODE="off")
    cases, report = draw(run, command, **({} if known else {"FUSELN_CHECK": "0"}))
    if known:
        assert_known(report, known)
    assert alone and alone.keys() == cases.keys()
    rows = [("kernel", "drawn", "replaced", "passed on", "largest error", "original's", "on the CPU")]
    for kernel, some in cases.items():
        replaced = [i for i, case in enumerate(some) if case["replaced"]]
        errors = [max((found[kernel][i]["error"] for i in replaced or range(len(some))), default=0)
                  for found in (cases, alone)]  # fmt: skip
        ours = f"{errors[0]:.3f}" if replaced else "-"
        passed = reasons(report, kernel) or ("-" if len(replaced) == len(some) else "no row")
        host = max((case["cpu"] for case in some if case.get("cpu") is not None), default=None)
        rows.append((kernel, len(some), len(replaced), passed, ours, f"{errors[1]:.3f}",
                     "-" if host is None else f"{host:.3f}"))  # fmt: skip
    wrong = sum(case["wrong"] > 0 for found in (alone, cases) for some in found.values() for case in some)
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    with capsys.disabled():
        print()
        for row in rows:
            print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
        print(f"errors in epsilons of the type, of the largest element of the row; wrong: {wrong}")
    assert wrong == 0
    return {kernel: sum(case["replaced"] for case in some) for kernel, some in cases.items()}


def none_failed(report):
    """How many launches were checked; no element of them was found wrong, also not of the original's."""
    checked = [site["verify"] for site in report["sites"] if site["verify"]]
    for found in checked:
        assert (found["failed"], found["outside"], found["outside_original"]) == (False, 0, 0), found
    return sum(found["launches"] for found in checked)


def check(run, command):
    """Runs the program with fuseln checking the first launch of each site, as of a build that nobody knows: it finds
    nothing wrong, and replaces others. Then with all launches verified. Returns as compare."""
    cases, report = draw(run, command, FUSELN_CHECK="1", **unknown(run.folder))
    check_sums(report)
    assert not any(case["wrong"] for some in cases.values() for case in some)
    first = none_failed(report)
    run.env["FUSELN_MODE"] = "verify"
    _, report = draw(run, command, FUSELN_CHECK="1")
    assert none_failed(report) > first > 0
    return {kernel: sum(case["replaced"] for case in some) for kernel, some in cases.items()}


def registered(folder, names, *options, runtime=None):
    """A library that registers the kernels that a file names, and launches them by a shared CUDA runtime: PyTorch's."""
    if not runtime:
        (runtime,) = pathlib.Path(torch.__file__).parents[1].glob("nvidia/cu*/lib/libcudart.so.*")
    (folder / "names.inc").write_text("".join(f'NAME("{name}")\n' for name in names.read_text().split()))
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-DNAMES=<names.inc>", f"-I{folder}", *options,
                    PROGRAMS / "registered.c", runtime, "-o", folder / "registered.so"], check=True)  # fmt: skip
    return folder / "registered.so"


def library(name):
    """The one library of a wheel that tools/test.sh keeps."""
    (found,) = CACHE.glob(f"{name}-library/*.so*")
    return found
