"""How the tests of this folder run the command `fuseln`."""
import os
import pathlib
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
FUSELN = os.environ.get("TEST_FUSELN", str(BUILD / "fuseln"))
LIBRARY = pathlib.Path(FUSELN).resolve().parent / "libfuseln.so"
PYTHON = pathlib.Path(os.environ.get("TEST_VENV", "/nonexistent"), "bin", "python")


class Command(unittest.TestCase):
    """A folder, and fuseln(WORD, ...) -> CompletedProcess."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")}
        return kept | {"TMPDIR": self.folder.name} | more

    def fuseln(self, *words, device=False, **more):
        """On the software device, if device."""
        command = [SOURCE / "tests/softgpu/run", "--no-fuseln", "--"] if device else []
        return subprocess.run([*map(str, command), FUSELN, *map(str, words)], env=self.environment(**more), text=True,
                              capture_output=True, timeout=120, cwd=self.dir, check=False)  # fmt: skip

    def assert_one_line(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
