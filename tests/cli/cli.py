# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder run the command `fuseln`."""
import contextlib
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
FUSELN = os.environ.get("TEST_FUSELN", str(BUILD / "fuseln"))
LIBRARY = pathlib.Path(FUSELN).resolve().parent / "libfuseln.so"
# Launches layer norms, on libraries of no cost in place of CUDA's: `launch pair 10`.
LAUNCH = BUILD / "tests/budgets/launch"
# Before a command: on the software device, whose driver and runtime it then finds.
ON_DEVICE = SOURCE / "tests/softgpu/run", "--no-fuseln", "--"
# What no line may hold: controls, line ends, marks and overrides of the writing direction, bytes that are no UTF-8.
COMMANDS = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
PYTHON = pathlib.Path(os.environ.get("TEST_VENV", "/nonexistent"), "bin", "python")


class Command(unittest.TestCase):
    """A folder, and fuseln(WORD, ...) -> CompletedProcess."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)

    def environment(self, **more):
        of_a_test = "FUSELN_", "SOFTGPU_", "LD_", "CUDA_VISIBLE_DEVICES"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(of_a_test)}
        return kept | {"TMPDIR": self.folder.name} | more

    def fuseln(self, *words, prefix=(), command=FUSELN, stdout=subprocess.PIPE, **more):
        """Runs it, behind the words of prefix, with more variables than environment() has."""
        return subprocess.run([*prefix, command, *(os.fsencode(word) for word in words)], env=self.environment(**more),
                              text=True, errors="surrogateescape", stdin=subprocess.DEVNULL, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=300, cwd=self.dir, check=False)

    def said(self, *words, code=0, **more):
        """What it prints: nothing to stderr."""
        done = self.fuseln(*words, **more)
        self.assertEqual((done.returncode, done.stderr), (code, ""))
        return done.stdout

    def on_terminal(self, *command):
        """Runs it with its output on a terminal: (exit code, all that came, what the terminal shows at the end)."""
        ours, theirs = os.openpty()
        with subprocess.Popen(command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                              cwd=self.dir) as program, open(ours, "rb", buffering=0) as terminal:
            os.close(theirs)
            came = b""
            with contextlib.suppress(OSError):  # when the last one has closed it
                while data := terminal.read(65536):
                    came += data
        text, shown = came.decode(errors="surrogateescape").replace("\r\n", "\n"), []
        for line in text.split("\n"):
            shown.append("")
            for part in line.split("\r"):
                before, erased, after = part.partition("\x1b[K")
                shown[-1] = before + after if erased else part + shown[-1][len(part):]
        return program.returncode, text, "\n".join(shown)

    def until(self, condition, what):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited 30 s for {what}")
            time.sleep(0.01)

    def assert_one_line(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
