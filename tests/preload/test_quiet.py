#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LD_PRELOAD set for a whole cluster: programs without CUDA run exactly as without it. Each command runs with and
without libfuseln.so, and with a report, a trace and a debug log asked for: same output, same exit status, no file."""
import glob
import os
import subprocess
import sys
import tempfile
import unittest

import stand_in

LIBRARY = str(stand_in.FUSELN)
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "fuseln")

SETTINGS = {
    "FUSELN_REPORT": "report.json",
    "FUSELN_TRACE": "trace-%p.json",
    "FUSELN_LOG": "debug:log.txt",
    "FUSELN_REPORT_EVERY": "nonsense",  # a bad value: warned of at the first kernel launch
    "FUSELN_MODE": "nonsense",
}
COMPILE = "printf 'int main(void){return 7;}' | gcc -O2 -x c - -o program && ./program; echo $?; rm program"
FORK = "import os; p=os.fork(); p or os._exit(3); print(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))"
THREADS = "import threading as t; [(x.start(), x.join()) for x in [t.Thread(target=print, args=[i]) for i in range(8)]]"
COMMANDS = {
    "true": ["true"],
    "false": ["false"],
    "shell": ["bash", "-c", "echo out; echo err >&2; exit 5"],
    "pipeline": ["bash", "-c", "seq 1000 | sort -r | head -3; ls /nonexistent"],
    "gcc": ["gcc", "--version"],
    "compile": ["bash", "-c", COMPILE],
    "git": ["bash", "-c", "git init -q r && git -C r status; rm -r r"],
    "python": [sys.executable, "-c", "import sys; print(sys.version); sys.exit(4)"],
    "fork": [sys.executable, "-c", FORK],
    "threads": [sys.executable, "-c", THREADS],
    "os._exit": [sys.executable, "-c", "import os; os._exit(6)"],
    "killed": ["bash", "-c", "kill -9 $$"],
    "empty environment": ["env", "-i", "/bin/echo", "x"],
    "closed streams": ["bash", "-c", "exec <&- >&- 2>&-; true"],
}


def run(command, preload, environment=None):
    """(exit status, stdout, stderr, files left behind) of a command in an empty directory."""
    with tempfile.TemporaryDirectory() as directory:
        env = stand_in.environment(*[preload] * bool(preload), **SETTINGS | (environment or {}))
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr, sorted(os.listdir(directory))


class Quiet(unittest.TestCase):
    def assert_same(self, command, preload, without=None, environment=None):
        with self.subTest(command=command, preload=preload):
            plain = run(command, without, environment)
            self.assertEqual(run(command, preload, environment), plain)
            self.assertEqual(plain[3], [])

    def test_commands(self):
        for command in COMMANDS.values():
            self.assert_same(command, LIBRARY)

    def test_it_was_preloaded(self):
        """Else the other tests would prove nothing: the loader goes on without a library that it cannot load."""
        maps = run(["cat", "/proc/self/maps"], LIBRARY)
        self.assertIn(os.path.basename(LIBRARY).encode(), maps[1])
        self.assertEqual(maps[2], b"")

    def test_alone_in_the_environment(self):
        done = subprocess.run(["env", "-i", f"LD_PRELOAD={LIBRARY}", "/bin/true"], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_twice(self):
        copy = tempfile.NamedTemporaryFile(suffix=".so")
        with open(LIBRARY, "rb") as file:
            copy.write(file.read())
            copy.flush()
        for preload in (f"{LIBRARY}:{LIBRARY}", f"{LIBRARY} {copy.name}"):
            for name in ("true", "python", "threads", "fork"):
                self.assert_same(COMMANDS[name], preload)

    def test_with_jemalloc(self):
        found = glob.glob("/usr/lib/*/libjemalloc.so.2")
        self.assertTrue(found, "libjemalloc2 is missing")
        for preload in (f"{LIBRARY}:{found[0]}", f"{found[0]}:{LIBRARY}"):
            for name in ("true", "python", "threads", "fork", "compile"):
                self.assert_same(COMMANDS[name], preload, without=found[0])

    def test_after_libasan(self):
        asan = stand_in.asan()
        for name in ("true", "python", "threads", "fork"):
            self.assert_same(COMMANDS[name], f"{asan}:{LIBRARY}", without=asan,
                             environment={"ASAN_OPTIONS": "detect_leaks=0"})

    def test_static_program(self):
        with tempfile.TemporaryDirectory() as directory:
            program = f"{directory}/program"
            subprocess.run(["gcc", "-static", "-x", "c", "-", "-o", program], check=True,
                           input=b'#include <stdio.h>\nint main(void){puts("static");return 2;}')
            self.assert_same([program], LIBRARY)


class Debian11(unittest.TestCase):
    """glibc 2.31 has dlsym in libdl, and much of pthread in libpthread, which this program is not linked to."""

    def test_loads_and_stays_silent(self):
        libc = f"{CACHE}/debian-11/lib/x86_64-linux-gnu"
        if not os.path.exists(libc):
            self.fail(f"{libc} is missing: tools/test.sh fetches it")
        program = f"{stand_in.BUILD}/tests/preload/old_libc"
        loader = [f"{libc}/ld-linux-x86-64.so.2", "--library-path", libc]
        for preload in (None, LIBRARY):
            done = subprocess.run(loader + (["--preload", preload] if preload else []) + [program],
                                  capture_output=True, env=SETTINGS, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""), preload)
        listing = subprocess.check_output(loader + ["--preload", LIBRARY, "--list", program], text=True)
        self.assertIn(LIBRARY, listing)
        self.assertNotIn("libpthread", listing)


if __name__ == "__main__":
    unittest.main()
