#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuseln run: the program's own signals, exit code and preloads, and its report at the end, whatever the command was
started with."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from cli import COMMANDS, FUSELN, LAUNCH, LIBRARY, ON_DEVICE, PYTHON, Command

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
            said = self.said(*words)
            self.assertIn("fuseln", said)

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
        command = ["env", "--default-signal", FUSELN, "run", "sh", "-c", script]  # in the background SIGINT is ignored
        program = subprocess.Popen(command, env=self.environment(), text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
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

    def test_it_ends_where_children_are_not_waited_for(self):
        """Daemons and the first processes of containers ignore SIGCHLD, and what they start inherits it."""
        for options in (["--ignore-signal=CHLD"], ["--ignore-signal=CHLD", "--block-signal=CHLD"], ["--ignore-signal"]):
            for script, code in (("exit 0", 0), ("exit 7", 7), ("sleep 0.1; kill -KILL $$", -9)):
                done = self.fuseln("run", "sh", "-c", script, prefix=["env", *options])
                self.assertEqual(done.returncode, code, (options, script))

    def test_the_program_finds_signals_as_they_were(self):
        show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
        for options in ([], ["--ignore-signal=CHLD"], ["--block-signal=CHLD,TERM"], ["--ignore-signal=INT,HUP,PIPE,CHLD"],
                        ["--block-signal", "--ignore-signal"]):
            alone = subprocess.run(["env", *options, *show], text=True, capture_output=True, check=True).stdout
            self.assertEqual(self.fuseln("run", *show, prefix=["env", *options]).stdout, alone, options)

    def test_signals_that_come_after_the_end_change_nothing(self):
        """Two at once: the program ends by the first, and the second is still there when the table is printed."""
        for numbers in ((signal.SIGTERM,), (signal.SIGINT, signal.SIGHUP), (signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM)):
            script = f"echo $$; read line; {LAUNCH} pair 10 >/dev/null; exit 5"
            with subprocess.Popen([FUSELN, "run", "sh", "-c", script], env=self.environment(), text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
                child = pathlib.Path("/proc", program.stdout.readline().strip(), "stat")
                os.kill(program.pid, signal.SIGSTOP)
                program.stdin.close()
                self.until(lambda: child.read_text().rpartition(")")[2].split()[0] == "Z", "the program's end")
                for number in numbers:
                    os.kill(program.pid, number)
                os.kill(program.pid, signal.SIGCONT)
                self.assertEqual(program.wait(timeout=60), 5, numbers)
                self.assertIn("1 report, mode replace", program.stderr.read())
            self.assertEqual(list(self.dir.glob("fuseln-*")), [])

    def assert_table(self, *words, **more):
        done = self.fuseln("run", *words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 report, mode replace: ", done.stderr)
        self.assertEqual(list(self.dir.glob("**/fuseln-*")), [], "it leaves no file behind")

    def test_the_table_wherever_temporary_files_are(self):
        for name in ("%p", "50%", "a%%b", "%q{HOME}", "*?[x]", "two words", "é", "$LIB:x"):
            (self.dir / name).mkdir()
            self.assert_table(LAUNCH, "pair", "10", TMPDIR=str(self.dir / name))
        deep = self.dir.joinpath(*["d" * 200] * 6)  # FUSELN_REPORT takes 1,023 bytes
        deep.mkdir(parents=True)
        self.assert_table(LAUNCH, "pair", "10", TMPDIR=str(deep))
        self.assert_table("sh", "-c", f"cd / && exec {LAUNCH} pair 10", TMPDIR="two words")
        os.symlink("50%", self.dir / "link")
        self.assert_table("sh", "-c", f"cd %p && exec {LAUNCH} pair 10", TMPDIR="./link/")

    def test_the_program_runs_where_there_is_no_place_for_temporary_files(self):
        (self.dir / "file").write_text("")
        (self.dir / "gone").symlink_to("nowhere")
        for place in ("/nonexistent", self.dir / "file", "gone", "x" * 3000, self.dir / ("y" * 200)):
            self.assert_table(LAUNCH, "pair", "10", TMPDIR=str(place))

    def test_a_library_that_cannot_be_preloaded_is_one_line(self):
        """The loader splits LD_PRELOAD at blanks and colons, and puts its own words in place of $LIB."""
        for name in ("$LIB", "x${ORIGIN}y", "$", "two words", "a:b"):
            folder = self.dir / name
            folder.mkdir()
            shutil.copy(FUSELN, folder / "fuseln")
            shutil.copy(LIBRARY, folder / "libfuseln.so")
            done = self.fuseln("run", "echo", "ran", command=folder / "fuseln")
            self.assert_one_line(done, 1, f"{folder}/libfuseln.so: LD_PRELOAD cannot hold", "blank", "colon", "$")
            self.assertEqual(done.stdout, "")

    def test_names_of_others_do_not_command_the_terminal(self):
        done = self.fuseln("run", "--report=\x1b[31m\n\u009b%p\u202e.json", LAUNCH, "pair", "10")
        self.assertEqual(len(list(self.dir.glob("*.json"))), 1)
        self.assert_one_line(done, 0, "report: ?[31m??")
        self.assertNotRegex(done.stderr, COMMANDS)
        self.assert_one_line(self.fuseln("run", "./no\x1b]0;such\nprogram"), 127, "./no?]0;such?program")

    def test_without_a_kernel_there_is_no_report(self):
        done = self.fuseln("run", "true")
        self.assert_one_line(done, 0, "no report", "fuseln doctor")
        self.assertEqual(list(self.dir.iterdir()), [])

    @unittest.skipUnless(PYTHON.exists(), "no PyTorch")
    def test_the_table_at_the_end_or_the_report(self):
        done = self.fuseln("run", PYTHON, "-c", STEP, prefix=ON_DEVICE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 report, mode replace: ", done.stderr)
        self.assertIn("pytorch/forward/vectorized/f32", done.stderr)
        self.assertEqual(list(self.dir.glob("fuseln-*")), [])
        twice = f"{STEP}\nif len(sys.argv) == 1: import subprocess; subprocess.run([sys.executable, '-c', {STEP!r}, 'x'])"
        done = self.fuseln("run", "--report=kept-%p.json", PYTHON, "-c", twice, prefix=ON_DEVICE)
        files = sorted(self.dir.glob("kept-*.json"))
        self.assertEqual(len(files), 2, done.stderr)
        self.assertEqual({line.split("report: ")[1] for line in done.stderr.splitlines()}, {f.name for f in files})
        self.assertEqual(json.loads(files[0].read_text())["totals"]["substituted"], 1)
        done = self.fuseln("run", "-r", "one.json", PYTHON, "-c", twice, prefix=ON_DEVICE)  # the second takes NAME.PID.EXT
        self.assertEqual(done.stderr.count(": report: "), len(list(self.dir.glob("one*.json"))), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
