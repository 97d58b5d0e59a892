# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` leaves behind: every file, wherever the folder is moved to, pages that groff reads and
completions that shells run."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from cli import BUILD, SOURCE, Command


class Install(Command):
    def setUp(self):
        super().setUp()
        self.prefix = self.dir / "prefix"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], check=True, stdout=subprocess.DEVNULL)

    def run_in(self, *command):
        done = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, cwd=self.dir)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout

    def completed(self, *words):
        script = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _fuseln fuseln "${@: -1}"; echo "${COMPREPLY[@]}"'
        page = self.prefix / "share/bash-completion/completions/fuseln"
        return self.run_in("bash", "-c", script, "bash", page, *words).split()

    def test_every_file_is_there_and_no_other(self):
        files = {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file()}
        self.assertEqual(files, {
            "bin/fuseln", "lib/libfuseln.so", "share/man/man1/fuseln.1", "share/man/man7/libfuseln.7",
            "share/bash-completion/completions/fuseln", "share/zsh/site-functions/_fuseln",
            "share/doc/fuseln/LICENSE"})

    def test_the_command_finds_its_library_wherever_the_folder_is(self):
        moved = self.prefix.rename(self.dir / "moved")
        link = self.dir / "link"
        link.symlink_to(moved / "bin/fuseln")
        for command in moved / "bin/fuseln", link:
            done = self.fuseln("run", "sh", "-c", "echo $LD_PRELOAD", command=command)
            self.assertEqual(done.stdout, f"{moved}/lib/libfuseln.so\n", done.stderr)

    def test_a_library_moved_away_from_its_command_is_one_line(self):
        (self.prefix / "lib/libfuseln.so").rename(self.dir / "libfuseln.so")
        done = self.fuseln("run", "true", command=self.prefix / "bin/fuseln")
        self.assert_one_line(done, 1, "no libfuseln.so beside this command, or in ../lib")

    def test_a_command_for_another_architecture_is_one_line(self):
        """`python -m fuseln`, where pip installed a wheel that it was told to take."""
        for name, text in (("fuseln/__main__.py", (SOURCE / "tools/wheel/__main__.py").read_text()),
                           ("fuseln-1.dist-info/METADATA", "Name: fuseln\nVersion: 1\n"),
                           ("fuseln-1.dist-info/RECORD", "bin/fuseln,,\n"), ("bin/fuseln", "\x7fELF")):
            (self.dir / name).parent.mkdir(exist_ok=True)
            (self.dir / name).write_text(text)
        (self.dir / "bin/fuseln").chmod(0o755)
        done = self.fuseln("-m", "fuseln", command=sys.executable, PYTHONPATH=str(self.dir))
        self.assert_one_line(done, 1, f"fuseln: {self.dir}/bin/fuseln: Exec format error")

    def test_the_pages_are_pages(self):
        for page, words in (("man1/fuseln.1", ("--verify", "fuseln scan", "127")),
                            ("man7/libfuseln.7", ("FUSELN_SCRATCH", "capture", "pytorch/dx"))):
            text = self.run_in("groff", "-man", "-ww", "-Tascii", "-P-cbou", self.prefix / "share/man" / page)
            for word in words:
                self.assertIn(word, text)

    def test_bash_completes_words_options_and_the_program(self):
        self.assertEqual(self.completed("fuseln", "d"), ["doctor"])
        self.assertEqual(self.completed("fuseln", "report", "--j"), ["--json"])
        self.assertIn("true", self.completed("fuseln", "run", "tru"))
        self.assertEqual(self.completed("fuseln", "run", "true", "--v"), [])  # the program's, not ours

    def test_zsh_reads_its_completion(self):
        page = self.prefix / "share/zsh/site-functions/_fuseln"
        self.run_in("zsh", "-f", "-n", page)
        self.assertTrue(page.read_text().startswith("#compdef fuseln\n"))


if __name__ == "__main__":
    unittest.main()
