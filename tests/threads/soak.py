#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does anything pile up, or get lost? Runs threads.c under the library for a while, with a report each second: memory
and descriptors do not grow, every report adds up, and the last one counts what the program saw.

    soak.py SECONDS"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", SOURCE / "build"))
LIBRARY = os.environ.get("TEST_LIBRARY", str(BUILD / "libfuseln.so"))
PROGRAMS = BUILD / "tests/threads"
sys.path.append(str(SOURCE / "tests"))
from reports import check_sums, environment  # noqa: E402

EXIT_FINE = 7
GROWTH_KB = 4096


def start(seconds, folder):
    env = environment(LD_PRELOAD=LIBRARY, FUSELN_REPORT=f"{folder}/%p.json", FUSELN_REPORT_EVERY="1")
    command = [PROGRAMS / "threads", str(seconds), PROGRAMS / "threads_client.so", PROGRAMS / "threads_other.so"]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sample(pid):
    """Returns (KB resident, descriptors), or None once the process has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        resident = next((line for line in status.splitlines() if line.startswith("VmRSS:")), None)
        return resident and (int(resident.split()[1]), len(os.listdir(f"/proc/{pid}/fd")))
    except (FileNotFoundError, ProcessLookupError):
        return None


def follow(process, folder):
    """Returns samples, and reports as they came, until the program ended."""
    samples, reports, path = [], [], pathlib.Path(folder, f"{process.pid}.json")
    while process.poll() is None:
        if (now := sample(process.pid)) is not None:
            samples.append(now)
        report = json.loads(path.read_text()) if path.exists() else None
        if report and (not reports or report["written_at"] != reports[-1]["written_at"]):
            reports.append(report)
        time.sleep(0.25)
    if path.exists():
        reports.append(json.loads(path.read_text()))
    return samples, reports


def grown(samples):
    """By how much the last third's minimum exceeds the second's; so what comes and goes does not count."""
    third = len(samples) // 3
    return [min(s[i] for s in samples[2 * third :]) - min(s[i] for s in samples[third : 2 * third]) for i in (0, 1)]


def find_lost(seconds, seen, samples, reports, children):
    memory, descriptors = grown(samples)
    if seen["wrong"]:
        yield f"{seen['wrong']} launches or children were wrong"
    if idle := [what for what in ("launches", "threads", "loads", "forks", "checks") if not seen[what]]:
        yield f"not done: {idle}"
    if memory > GROWTH_KB:
        yield f"{memory} KB more in the end"
    if descriptors > 0:
        yield f"{descriptors} descriptors more in the end"
    if len(reports) < seconds / 4:
        yield f"only {len(reports)} reports"
    for report in [*reports, *children]:
        check_sums(report)
    for before, after in zip(reports, reports[1:]):
        if any(after["totals"][key] < before["totals"][key] for key in ("launches", "recognised", "substituted")):
            yield f"counts went back: {before['totals']}, {after['totals']}"
    last, replaced = reports[-1]["totals"], seen["layer_norms"] - seen["originals"]
    if (last["launches"], last["recognised"], last["substituted"]) != (seen["launches"], seen["layer_norms"], replaced):
        yield f"the last report says {last}, the program {seen}"


def main():
    seconds = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        process = start(seconds, folder)
        samples, reports = follow(process, folder)
        output, errors = process.communicate()
        paths = [path for path in pathlib.Path(folder).iterdir() if path.name != f"{process.pid}.json"]
        children = [json.loads(path.read_text()) for path in paths]
    if process.returncode != EXIT_FINE or errors:
        print(f"exit code {process.returncode}\n{output}{errors}")
        return 1
    seen = json.loads(output)
    print(f"{seen}\nresident {samples[0][0]} to {samples[-1][0]} KB, {samples[0][1]} to {samples[-1][1]} descriptors, "
          f"{len(reports)} reports, {len(children)} of children")  # fmt: skip
    lost = list(find_lost(seconds, seen, samples, reports, children))
    print("\n".join(lost))
    print(f"| threads that come and go, beside forks and libraries that do | {seen['launches']:,} launches in {seconds} s, "
          f"{seen['forks']:,} forks, {seen['loads']:,} loads | {len(lost) or 'nothing'} |")  # fmt: skip
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
