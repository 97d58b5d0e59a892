#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first launches of a process by a thread on the smallest stack (PTHREAD_STACK_MIN, 16 KB): they survive, also where
report, trace and log cannot be written, and all of our frames together take at most 8 KB of it. Then files that a shell
hands to a program: what they hold stays."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import stand_in
from stand_in import BUILD, FUSELN, HERE, gcc

LIBRARIES = f"{BUILD}/tests/budgets"

SETTINGS = {
    "nothing asked for": {},
    "all asked for": {"FUSELN_REPORT": "r.json", "FUSELN_TRACE": "trace", "FUSELN_LOG": "debug:log"},
    "nothing can be written": {
        "FUSELN_REPORT": "missing/r.json", "FUSELN_TRACE": "missing/trace", "FUSELN_LOG": "debug:missing/log",
    },
    "long paths": {
        "FUSELN_REPORT": "%q{LONG}/r.json", "FUSELN_TRACE": "%q{LONG}/trace", "FUSELN_LOG": "debug:%q{LONG}/log",
    },
    "streams": {"FUSELN_REPORT": "/dev/stdout", "FUSELN_TRACE": "/proc/self/fd/2", "FUSELN_LOG": "debug:/dev/stderr"},
    "values that are wrong": {"FUSELN_MODE": "wrong" * 30, "FUSELN_REPORT": "%z", "FUSELN_SKIP": "wrong " * 100},
}  # fmt: skip


class SmallStack(stand_in.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = cls.dir / "small_stack"
        gcc(cls.program, HERE / "small_stack.c", f"-L{LIBRARIES}", "-l:libcudart.so.13", "-l:libcuda.so.1", "-lpthread")

    def run_in(self, folder, settings, *arguments):
        settings = {"FUSELN_REPORT": None, "LD_LIBRARY_PATH": LIBRARIES, "LONG": "x" * 3500} | settings
        return self.execute(self.program, *arguments, cwd=folder, **settings).stdout

    def test_launches_survive_and_take_little(self):
        for name, settings in SETTINGS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                self.run_in(folder, settings)
                self.assertTrue(name != "all asked for" or len(os.listdir(folder)) == 3)
                used = int(self.run_in(folder, settings, "painted").splitlines()[-1])
                self.assertLessEqual(used, 8192)
                self.assertGreater(used, 1000)

    def test_a_shells_file_keeps_every_line(self):
        streams = {"FUSELN_REPORT": "/dev/stderr", "FUSELN_TRACE": "/dev/stderr", "FUSELN_LOG": "info:/dev/stderr"}
        with tempfile.TemporaryDirectory() as folder:
            command = f"(echo before; {self.program}; echo more; {self.program}; echo most) >log 2>&1"
            env = stand_in.environment(FUSELN, FUSELN_CHECK="0", LD_LIBRARY_PATH=LIBRARIES, **streams)
            subprocess.run(["bash", "-c", command], env=env, cwd=folder, check=True, timeout=60)
            lines = pathlib.Path(folder, "log").read_text().splitlines()
        self.assertEqual([line for line in lines if line in ("before", "more", "most")], ["before", "more", "most"])
        self.assertEqual(sum(line.startswith('{"time"') for line in lines), 6)
        self.assertEqual(sum("kernel launches" in line for line in lines), 2)
        self.assertEqual(sum("sees the first kernel launch" in line for line in lines), 2)

    def test_two_runs_in_one_file_and_one_report(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(3):
                self.run_in(folder, SETTINGS["all asked for"])
            self.assertEqual(sorted(os.listdir(folder)), ["log", "r.json", "trace"])
            report = json.loads(pathlib.Path(folder, "r.json").read_text())
            self.assertEqual(report["totals"]["substituted"], 3)
            self.assertRegex(report["process"]["id"], r"^[0-9a-f]{32}\.[0-9a-f-]+-\d+-\d+$")
            self.assertEqual(len(pathlib.Path(folder, "trace").read_text().splitlines()), 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
