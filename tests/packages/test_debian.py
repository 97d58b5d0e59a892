# SPDX-License-Identifier: Apache-2.0
"""The Debian packages and the source archive: lintian finds no error, two builds in two folders give the same bytes, what
is installed works, and the archive knows its commit."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from test_wheel import SOURCE, run

BUILD = pathlib.Path(os.environ["TEST_BUILD"])


def packages_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("fuseln*"))}


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        cls.made = []
        for clone in cls.dir / "one", cls.dir / "another/place":
            run("git", "clone", "-q", SOURCE, clone)
            (clone / "build").mkdir()
            for part in "images", "generated":  # the device images, which take minutes
                (clone / "build" / part).symlink_to(BUILD / part)
            run(clone / "tools/package.sh", "source", "debian")
            cls.made.append(clone / "build/packages")

    def test_two_builds_give_the_same_bytes(self):
        one, other = map(packages_of, self.made)
        self.assertEqual(len(one), 3, one.keys())
        self.assertEqual(one.keys(), other.keys())
        for name, data in one.items():
            self.assertTrue(data == other[name], f"{name} differs")

    def test_lintian_finds_no_error(self):
        found = subprocess.run(["lintian", "--allow-root", *self.made[0].glob("*.deb")], text=True, capture_output=True,
                               check=False).stdout
        self.assertNotIn("E: ", found)

    def test_what_is_installed_works(self):
        root = self.dir / "root"
        for package in self.made[0].glob("*.deb"):
            run("dpkg-deb", "-x", package, root)
        library = run(root / "usr/bin/fuseln", "run", "sh", "-c", "echo $LD_PRELOAD").strip()
        self.assertEqual(library, str(root / "usr/lib" / os.uname().machine) + "-linux-gnu/libfuseln.so")
        self.assertTrue((root / "usr/share/man/man1/fuseln.1.gz").exists())

    def test_an_upgrade_and_a_purge_leave_nothing_of_an_older_package(self):
        package, = self.made[0].glob("fuseln_*.deb")
        older = self.dir / "older"
        run("dpkg-deb", "-R", package, older)
        control = older / "DEBIAN/control"
        control.write_text(re.sub("(?m)^Version: .*", "Version: 0.1.0", control.read_text()))
        (older / "usr/lib/libfuseln-older.so").write_bytes(b"")
        run("dpkg-deb", "-b", older, self.dir / "older.deb")
        root = self.dir / "system"
        for name in "updates", "info", "triggers":
            (root / "var/lib/dpkg" / name).mkdir(parents=True)
        (root / "var/lib/dpkg/status").write_bytes(b"")

        def dpkg(*words):
            run("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--log=/dev/null", *words)
            return sorted(str(path.relative_to(root)) for path in root.rglob("*fuseln*"))

        self.assertIn("usr/lib/libfuseln-older.so", dpkg("-i", self.dir / "older.deb"))
        self.assertNotIn("usr/lib/libfuseln-older.so", dpkg("-i", package))
        self.assertIn(f"usr/lib/{os.uname().machine}-linux-gnu/libfuseln.so", dpkg("--audit"))
        self.assertEqual(dpkg("--purge", "fuseln"), [])

    def test_the_archive_knows_its_commit(self):
        archive, = self.made[0].glob("*.tar.xz")
        run("tar", "-xf", archive, "-C", self.dir)
        unpacked, = self.dir.glob("fuseln-*")
        run("cmake", f"-DSOURCE={unpacked}", "-DVERSION=1.2.3", f"-DOUT={self.dir}/version.h", "-P",
            unpacked / "tools/version.cmake", env=os.environ | {"GIT_CEILING_DIRECTORIES": str(self.dir)})
        commit = run("git", "-C", SOURCE, "rev-parse", "HEAD").strip()
        text = (self.dir / "version.h").read_text()
        self.assertIn(text.split('FUSELN_COMMIT "')[1].split('"')[0], (commit[:7], commit[:8], commit[:9], commit[:10]))


if __name__ == "__main__":
    unittest.main()
