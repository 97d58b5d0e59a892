# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder run a program on the software device, with or without fuseln, and read its report."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN, PROGRAMS = ROOT / "tests" / "softgpu" / "run", ROOT / "tests" / "programs"
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", ROOT / "build"))
SLOWER = int(os.environ.get("TEST_SLOWER", "1"))  # by qemu, all takes about that many times as long
FUSELN, COMMAND = BUILD / "libfuseln.so", BUILD / "fuseln"
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "budgets")]
import names  # noqa: E402, F401
import wheel  # noqa: E402
from reports import check_sums, environment  # noqa: E402, F401


class Runner:
    """run(code or arguments of Python) and run.program(command) return a CompletedProcess; report() is the JSON report of
    the last run, or None. The Python is this one, or that of another environment."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {}  # for every run
        self.python = sys.executable
        self.path = folder / "report.json"

    def __call__(self, command, **options):
        return self.program([self.python, *(["-c", command] if isinstance(command, str) else command)], **options)

    def program(
        self, command, *, fuseln=True, cpu_ops=False, count=False, seed=None, before=(), behind=(), env=None, timeout=300,
        check=True, cuda=None,
    ):  # fmt: skip
        self.path.unlink(missing_ok=True)
        options = [*["--no-fuseln"] * (not fuseln), *["--cpu-ops"] * cpu_ops, *["--count"] * count]
        options += [] if seed is None else ["--seed", str(seed)]
        options += [] if cuda is None else ["--cuda", cuda]
        for option, libraries in ("--before", before), ("--behind", behind):
            options += [part for library in libraries for part in (option, str(library))]
        env = environment(FUSELN_REPORT=str(self.path)) | self.env | (env or {})
        done = subprocess.run([str(RUN), *options, "--", *command], env=env, cwd=self.folder, timeout=timeout * SLOWER,
                              capture_output=True, text=True)  # fmt: skip
        if check:
            assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def report(self):
        return json.loads(self.path.read_text()) if self.path.exists() else None


@pytest.fixture
def run(tmp_path):
    return Runner(tmp_path)


@pytest.fixture
def unchecked(run):
    """For programs whose build nobody knows: replace from the first launch on."""
    run.env["FUSELN_CHECK"] = "0"


@pytest.fixture(scope="session")
def image():
    """The cubin with PyTorch's layer norms, and the name of its forward kernel for float."""
    (library,) = pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/torch/lib/libtorch_cuda.so")
    return wheel.kernel(str(library), 90, f"{sys.prefix}-images", "forward", "f32", 5, 768)


def launches(report, *ops):
    """Launches of the sites with one of these ops."""
    return sum(site["launches"] for site in report["sites"] if site["op"] in ops)
