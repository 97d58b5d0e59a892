# SPDX-License-Identifier: Apache-2.0
"""apex's layer norms and RMS norms, by a library that registers its names (programs/apex.c), on the software device."""

import pathlib
import subprocess

import pytest
import torch
from conftest import PROGRAMS, ROOT
from norms_table import check, compare

NAMES = ROOT / "tests" / "data" / "symbols" / "apex-6424da3b.txt"
DTYPES = "f32", "f16", "bf16"
REPLACED = {f"apex/{kernel}/{dtype}" for kernel in ("layer_norm", "rms_norm", "layer_norm_dx", "rms_norm_dx") for dtype in DTYPES}
(RUNTIME,) = pathlib.Path(torch.__file__).parents[1].glob("nvidia/cu*/lib/libcudart.so.*")


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apex")
    lines = [f'NAME("{name}")\n' for name in NAMES.read_text().split()]
    (folder / "names.inc").write_text("".join(lines))
    build = ["gcc", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-DNAMES=<names.inc>", f"-I{folder}",
             PROGRAMS / "apex.c", RUNTIME, "-o", folder / "apex.so"]  # fmt: skip
    subprocess.run(build, check=True)
    return [PROGRAMS / "use_apex_norms.py", folder / "apex.so", NAMES]


def test_drawn_cases(run, capsys, command):
    replaced = compare(run, command, capsys)
    assert {kernel for kernel, n in replaced.items() if n > 8} == REPLACED


def test_the_first_launches_are_checked(run, command):
    replaced = check(run, command)
    assert {kernel for kernel, n in replaced.items() if n > 0} == REPLACED
