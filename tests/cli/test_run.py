#!/usr/bin/env python3
"""fuseln run: the program's own signals, exit code and preloads, and its report at the end."""
import json
import os
import signal
import subprocess
import time
import unittest

from cli import FUSELN, LIBRARY, PYTHON, Command

STEP = """
import torch, sys
norm = torch.nn.LayerNorm(64).cuda()
norm(torch.zeros(8, 64).cuda())
"""


class Run(Command):
    def test_the_exit_code_and_the_output_are_the_programs(self):
        done = self.fuseln("run", "sh", "-c", "echo out; exit 7")
        self.assertEqual((done.returncode, done.stdout), (7, "out\n"))
        self.assertEqual(self.fuseln("run", "--", "sh", "-c", "exit 0").returncode, 0)

    def test_no_such_program(self):
        self.assert_one_line(self.fuseln("run", "./none"), 127, "./none", "No such file")
        (self.dir / "data").write_text("x")
        self.assert_one_line(self.fuseln("run", "./data"), 126, "./data", "Permission denied")

    def test_wrong_usage_is_one_line(self):
        for words in ((), ("--unknown", "true"), ("--report",)):
            self.assert_one_line(self.fuseln("run", *words), 2)
        for words in ((), ("walk",)):
            self.assert_one_line(self.fuseln(*words), 2, "run, report, scan, doctor")
        for words in (("--help",), ("run", "--help"), ("report", "--help"), ("--version",)):
            done = self.fuseln(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("fuseln", done.stdout)

    def test_a_preload_that_is_there_stays(self):
        done = self.fuseln("run", "sh", "-c", "echo $LD_PRELOAD; echo $FUSELN_MODE", LD_PRELOAD="libm.so.6")
        self.assertEqual(done.stdout, f"{LIBRARY}:libm.so.6\n\n")
        for mode in ("observe", "verify", "measure"):
            done = self.fuseln("run", f"--{mode}", "sh", "-c", "echo $LD_PRELOAD; echo $FUSELN_MODE")
            self.assertEqual(done.stdout, f"{LIBRARY}\n{mode}\n")
        self.assert_one_line(self.fuseln("run", "--verify", "--measure", "true"), 2, "only one of")

    def test_killed_as_the_program_is(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            self.assertEqual(self.fuseln("run", "sh", "-c", f"kill -{int(number)} $$").returncode, -number)

    def start(self, script):
        program = subprocess.Popen([FUSELN, "run", "sh", "-c", script], env=self.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        self.assertEqual(program.stdout.readline(), "ready\n")
        return program

    def test_signals_are_handed_on(self):
        for name in ("TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "WINCH"):
            program = self.start(f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done")
            program.send_signal(getattr(signal, f"SIG{name}"))
            out, _ = program.communicate(timeout=20)
            self.assertEqual((program.returncode, out), (3, "got\n"), name)

    def test_it_stops_and_goes_on_with_the_program(self):
        program = self.start("echo ready; kill -STOP $$; echo again")
        _, status = os.waitpid(program.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        time.sleep(0.1)
        program.send_signal(signal.SIGCONT)
        out, _ = program.communicate(timeout=20)
        self.assertEqual((program.returncode, out), (0, "again\n"))

    def test_without_a_kernel_there_is_no_report(self):
        done = self.fuseln("run", "true")
        self.assert_one_line(done, 0, "no report", "fuseln doctor")
        self.assertEqual(list(self.dir.iterdir()), [])

    @unittest.skipUnless(PYTHON.exists(), "no PyTorch")
    def test_the_table_at_the_end_or_the_report(self):
        done = self.fuseln("run", PYTHON, "-c", STEP, device=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 report, mode replace: ", done.stderr)
        self.assertIn("pytorch/forward/vectorized/f32", done.stderr)
        self.assertEqual(list(self.dir.glob("fuseln-*")), [])
        twice = f"{STEP}\nif len(sys.argv) == 1: import subprocess; subprocess.run([sys.executable, '-c', {STEP!r}, 'x'])"
        done = self.fuseln("run", "--report=kept-%p.json", PYTHON, "-c", twice, device=True)
        files = sorted(self.dir.glob("kept-*.json"))
        self.assertEqual(len(files), 2, done.stderr)
        self.assertEqual({line.split("report: ")[1] for line in done.stderr.splitlines()}, {f.name for f in files})
        self.assertEqual(json.loads(files[0].read_text())["totals"]["substituted"], 1)
        done = self.fuseln("run", "-r", "one.json", PYTHON, "-c", twice, device=True)  # the second takes NAME.PID.EXT
        self.assertEqual(done.stderr.count(": report: "), len(list(self.dir.glob("one*.json"))), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
