#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are there data races? Runs threads.c, linked with the library's sources, under ThreadSanitizer: threads that start,
launch and end, libraries that come and go, forks, checks and reports, in the modes that share most between threads.

    races.py SECONDS    in each mode"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", SOURCE / "build"))
PROGRAMS = BUILD / "tests/threads"
sys.path.append(str(SOURCE / "tests"))
from reports import environment  # noqa: E402

EXIT_FINE = 7
MODES = {
    "replace, checked first": {},
    "replace, traced": {"FUSELN_CHECK": "0", "FUSELN_TRACE": "trace-%p.json"},
    "verify": {"FUSELN_MODE": "verify"},
    "measure": {"FUSELN_MODE": "measure", "FUSELN_CHECK": "0", "FUSELN_LOG": "debug:log-%p.txt"},
}


def run(seconds, settings, folder):
    env = environment(FUSELN_REPORT="%p.json", FUSELN_REPORT_EVERY="1",
                      TSAN_OPTIONS="exitcode=66 die_after_fork=0 second_deadlock_stack=1", **settings)  # fmt: skip
    # ThreadSanitizer's shadow memory has fixed addresses, which address randomisation may take.
    command = ["setarch", "-R", PROGRAMS / "races", str(seconds), PROGRAMS / "threads_client.so",
               PROGRAMS / "threads_other.so"]  # fmt: skip
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, errors="replace",
                          timeout=seconds + 200, check=False)  # fmt: skip


def main():
    seconds, launches, reports, status = int(sys.argv[1]), 0, 0, 0
    for mode, settings in MODES.items():
        with tempfile.TemporaryDirectory() as folder:
            done = run(seconds, settings, folder)
        seen = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        print(f"{mode}: {seen}", flush=True)
        idle = [what for what in ("launches", "threads", "loads", "forks") if not seen.get(what)]
        if done.returncode != EXIT_FINE or done.stderr or idle:
            print(f"exit code {done.returncode}, not done: {idle}\n{done.stderr[:20000]}")
            status = 1
        launches += seen.get("launches", 0)
        reports += max(done.stderr.count("SUMMARY: ThreadSanitizer"), done.returncode != EXIT_FINE)
    print(f"| the same under ThreadSanitizer, in {len(MODES)} modes | {launches:,} launches in {len(MODES) * seconds} s | "
          f"{reports or 'nothing'} |")  # fmt: skip
    return status


if __name__ == "__main__":
    sys.exit(main())
