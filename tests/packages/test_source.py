# SPDX-License-Identifier: Apache-2.0
"""The source archive builds with a CUDA Toolkit and without a network, and says which drivers the result loads on. The
toolkit is NVIDIA's nvcc from PyPI (fuseln_need_nvcc of tools/setup.sh); without it, exit code 77."""
import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from test_wheel import CACHE, SOURCE, run

TOOLKIT = CACHE / "toolkit-13.0.88/nvidia/cu13"
OFFLINE = "unshare", "--map-root-user", "--net"


def offline():
    """What comes before a command that shall have no network; nothing where the system allows no namespace."""
    if subprocess.run([*OFFLINE, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return OFFLINE
    print("no network namespace is allowed here: the network stays")
    return ()


class Source(unittest.TestCase):
    def test_it_builds_with_a_toolkit_and_without_a_network(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        run(SOURCE / "tools/package.sh", "source")
        (archive,) = (SOURCE / "build/packages").glob("fuseln-*.tar.xz")
        run("tar", "-xf", archive, "-C", folder.name)
        (root,) = pathlib.Path(folder.name).iterdir()
        env = os.environ | {"CUDA_HOME": str(TOOLKIT)}
        # One device is enough: each is the same compiler called once more.
        said = run(*offline(), "cmake", "--preset", "toolkit", "-G", "Unix Makefiles", "-DFUSELN_ARCHS=90", cwd=root, env=env)
        self.assertIn("sm_90 by nvcc 13.0.88: drivers of CUDA 13.0 and newer", said)
        self.assert_no_file_is_made_twice(root / "build")
        run(*offline(), "cmake", "--build", "build", "--parallel", str(os.cpu_count()), cwd=root, env=env)
        said = run(root / "build/fuseln", "run", "sh", "-c", "echo $LD_PRELOAD")
        self.assertIn(str((root / "build/libfuseln.so").resolve()), said.splitlines())

    def assert_no_file_is_made_twice(self, build):
        """CMake's makefiles build two targets at once: a file that both make comes out broken, now and then."""
        targets = collections.defaultdict(list)
        for rules in build.rglob("build.make"):
            for file in set(re.findall(r"^([\w./-]+\.\w+):", rules.read_text(), re.MULTILINE)):
                targets[file].append(rules.parent.name)
        self.assertIn("images/forward.sm_90.cubin", targets)
        self.assertEqual({}, {file: names for file, names in targets.items() if len(names) > 1})


if __name__ == "__main__":
    if not (TOOLKIT / "bin/nvcc").exists():
        print(f"no nvcc in {TOOLKIT}: tools/test.sh installs it")
        sys.exit(77)
    unittest.main()
