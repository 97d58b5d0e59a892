# SPDX-License-Identifier: Apache-2.0
"""The wheel, in a fresh virtual environment: what it needs of the system, what it installs and leaves behind."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import venv
import zipfile

SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "fuseln")
ALLOWED = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"}


def run(*command, code=0, **more):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=500, **more)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check_needs(case, file):
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", run("readelf", "-V", file))
    case.assertTrue(versions)
    case.assertLessEqual(max((int(major), int(minor)) for major, minor in versions), (2, 28), file)
    case.assertLessEqual(set(re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", file))), ALLOWED, file)


def make_wheel(case, kind, arch):
    """The wheel, and a folder that is removed after the tests."""
    run(SOURCE / "tools/package.sh", kind)
    (wheel,) = (SOURCE / "build/packages").glob(f"fuseln-*-py3-none-manylinux_2_28_{arch}.whl")
    folder = tempfile.TemporaryDirectory()
    case.addClassCleanup(folder.cleanup)
    return wheel, pathlib.Path(folder.name)


class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.wheel, folder = make_wheel(cls, "wheel", "x86_64")
        cls.root = folder / "venv"
        venv.create(cls.root, with_pip=True)
        cls.before = set(cls.root.rglob("*"))
        cls.pip("install", cls.wheel)

    @classmethod
    def pip(cls, *words):
        run(cls.root / "bin/python", "-m", "pip", "-q", "--no-cache-dir", "--disable-pip-version-check", *words)

    def test_the_command_finds_the_library(self):
        for command in [self.root / "bin/fuseln"], [self.root / "bin/python", "-m", "fuseln"]:
            said = run(*command, "run", "sh", "-c", "echo $LD_PRELOAD")
            self.assertEqual(said, f"{self.root.resolve()}/lib/libfuseln.so\n")

    def test_no_symbol_is_newer_than_glibc_2_28(self):
        for file in self.root / "bin/fuseln", self.root / "lib/libfuseln.so":
            check_needs(self, file)

    def test_it_starts_under_the_loader_of_debian_11(self):
        libraries = CACHE / "debian-11/lib/x86_64-linux-gnu"
        said = run(libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, self.root / "bin/fuseln", "scan", self.wheel)
        self.assertIn("2 ELF files scanned", said)

    def test_the_licences_of_what_is_inside_are_there(self):
        (folder,) = self.root.glob("lib/python3*/site-packages/fuseln-*.dist-info/licenses")
        self.assertEqual({path.name for path in folder.iterdir()}, {"LICENSE", "jansson", "libarchive", "zlib"})

    def test_the_same_commit_gives_the_same_bytes(self):
        before = self.wheel.read_bytes()
        run(SOURCE / "tools/package.sh", "wheel")
        self.assertTrue(before == self.wheel.read_bytes())

    def test_the_demo_trains_with_it(self):
        done = subprocess.run(
            [SOURCE / "tests/softgpu/run", "--no-fuseln", "--cpu-ops", "--", self.root / "bin/fuseln", "run", "--",
             f"{os.environ['TEST_VENV']}/bin/python", SOURCE / "tools/train.py", "--steps", "30"],
            text=True, capture_output=True, check=True, timeout=280)  # fmt: skip
        self.assertIn("450 layer norms: 450 replaced, 0 passed on", done.stderr)

    def test_it_replaces_an_older_wheel(self):
        """What a wheel of 0.1.0 left is gone, and the command runs."""
        (info,) = self.root.glob("lib/python3*/site-packages/fuseln-*.dist-info")
        version = info.name.split("-")[1].removesuffix(".dist")
        with tempfile.TemporaryDirectory() as folder:
            older = pathlib.Path(folder, self.wheel.name.replace(version, "0.1.0"))
            with zipfile.ZipFile(self.wheel) as new, zipfile.ZipFile(older, "w") as old:
                for name in new.namelist():
                    data = new.read(name)
                    if name.endswith("/METADATA"):
                        data = data.replace(f"Version: {version}".encode(), b"Version: 0.1.0", 1)
                    if not name.endswith("/RECORD"):
                        old.writestr(name.replace(f"fuseln-{version}", "fuseln-0.1.0"), data)
                record = "fuseln-0.1.0.dist-info/RECORD"
                old.writestr("fuseln/older.py", "")
                old.writestr(record, "".join(f"{name},,\n" for name in [*old.namelist(), record]))
            self.pip("install", "--force-reinstall", older)
        self.assertTrue((info.parent / "fuseln/older.py").exists())
        self.pip("install", "--upgrade", self.wheel)
        self.assertEqual(list(info.parent.glob("fuseln-*")), [info])
        self.assertFalse((info.parent / "fuseln/older.py").exists())
        self.test_the_command_finds_the_library()

    def test_zz_uninstalling_leaves_nothing(self):
        """Last, as the names of tests go."""
        self.pip("uninstall", "-y", "fuseln")
        left = {path for path in set(self.root.rglob("*")) - self.before if "__pycache__" not in path.parts}
        self.assertEqual({path for path in left if "fuseln" in path.name}, set())


if __name__ == "__main__":
    unittest.main()
