# SPDX-License-Identifier: Apache-2.0
"""The wheel for aarch64: what it needs of the system, and that its command starts under qemu and finds its library. No
virtual environment can be made of another machine's Python, so the wheel is unpacked as pip would do it. The part aarch64
of tools/test.sh --all runs this; tools/aarch64_run does the rest."""
import unittest
import zipfile

from test_wheel import SOURCE, check_needs, make_wheel, run


class Aarch64(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.wheel, cls.root = make_wheel(cls, "wheel-aarch64", "aarch64")
        with zipfile.ZipFile(cls.wheel) as wheel:
            for name in wheel.namelist():
                kind, _, path = name.partition(".data/")[2].partition("/")
                if path:
                    into = cls.root / ("bin" if kind == "scripts" else "") / path
                    into.parent.mkdir(parents=True, exist_ok=True)
                    into.write_bytes(wheel.read(name))
        cls.command = cls.root / "bin/fuseln"
        cls.command.chmod(0o755)

    def command_says(self, *words, code=0):
        return run(SOURCE / "tools/aarch64_run", self.command, *words, code=code)

    def test_no_symbol_is_newer_than_glibc_2_28(self):
        for file in self.command, self.root / "lib/libfuseln.so":
            self.assertIn("AArch64", run("readelf", "-h", file))
            check_needs(self, file)

    def test_the_command_finds_the_library(self):
        self.assertEqual(self.command_says("run", "sh", "-c", "echo $LD_PRELOAD"), f"{self.root}/lib/libfuseln.so\n")

    def test_the_doctor_loads_the_library(self):
        self.assertIn(f"library: {self.root}/lib/libfuseln.so loads", self.command_says("doctor", code=1))

    def test_it_scans_a_wheel(self):
        self.assertIn("2 ELF files scanned", self.command_says("scan", self.wheel))


if __name__ == "__main__":
    unittest.main()
