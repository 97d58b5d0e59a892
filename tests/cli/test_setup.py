#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/setup.sh: a step is one line, and on a terminal tells where it is; what fails leaves nothing half done."""
import os
import subprocess
import unittest

from cli import SOURCE, Command

WORK = "work() { echo one; echo two >&2; return $1; }; "


class Setup(Command):
    def script(self, text):
        return ["bash", "-euo", "pipefail", "-c", f". {SOURCE}/tools/setup.sh; {text}"]

    def run_script(self, text, **more):
        env = {key: value for key, value in (self.environment() | more).items() if value is not None}
        return subprocess.run(self.script(text), text=True, capture_output=True, env=env, cwd=self.dir, timeout=60,
                              check=False)

    def test_a_step_is_one_line_unless_it_fails(self):
        done = self.run_script(WORK + "fuseln_step 'making it' work 0; echo next")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "next\n", "fuseln: making it\n"))
        done = self.run_script(WORK + "fuseln_step 'making it' work 7; echo next")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "", "fuseln: making it\none\ntwo\n"))

    def test_on_a_terminal_it_tells_where_it_is(self):
        work = "work() { printf 'o\\033[2Jne\\n'; sleep 2; return $1; }; "
        code, text, shown = self.on_terminal(*self.script(work + "fuseln_step 'making it' work 0; echo next"))
        self.assertEqual((code, shown), (0, "fuseln: making it\nnext\n"))
        self.assertRegex(text, r"(\r\x1b\[K +\d s  o\[2Jne){2}\r")
        code, _, shown = self.on_terminal(*self.script(WORK + "fuseln_step 'making it' work 7; echo next"))
        self.assertEqual((code, shown), (7, "fuseln: making it\none\ntwo\n"))

    def test_a_folder_is_made_whole_or_not_at_all(self):
        half = 'half() { touch "$1/file"; return $CODE; }; fuseln_make "$fuseln_cache/it" half'
        for code, left in (1, ["fuseln"]), (0, ["file", "fuseln", "it"]):
            done = self.run_script(half, XDG_CACHE_HOME=str(self.dir), CODE=str(code))
            self.assertEqual((done.returncode, sorted(path.name for path in self.dir.rglob("*"))), (code, left))

    def test_a_home_that_is_not_there_or_cannot_be_written_is_one_line(self):
        self.assert_one_line(self.run_script("true", HOME=None, XDG_CACHE_HOME=None), 1, "HOME", "must name a folder")
        (self.dir / "file").write_text("")
        done = self.run_script("fuseln_make $fuseln_cache/it true", XDG_CACHE_HOME=str(self.dir / "file"))
        self.assert_one_line(done, 1, "fuseln: could not make", "Not a directory")

    def test_an_apt_without_a_debian_archive_is_one_line(self):
        for name, says in ("apt-get", ""), ("dpkg-query", "installed"), ("id", "0"):
            program = self.dir / name
            program.write_text(f"#!/bin/sh\necho {says}\n")
            program.chmod(0o755)
        env = self.environment() | {"PATH": f"{self.dir}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(self.dir / "cache")}
        done = subprocess.run([SOURCE / "tools/systems.sh", "trixie", "--", "true"], text=True, capture_output=True, env=env,
                              timeout=60, check=False)  # fmt: skip
        self.assert_one_line(done, 1, "fuseln: apt knows no Debian archive")


if __name__ == "__main__":
    unittest.main()
