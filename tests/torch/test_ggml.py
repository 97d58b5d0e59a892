# SPDX-License-Identifier: Apache-2.0
"""ggml's norms, taken out of the wheels of ctransformers and gpt4all, and those of 2025, of which we have the names alone,
on the software device."""

import re
import subprocess
import sys

import pytest
from conftest import PROGRAMS, ROOT
from norms_table import CACHE, check, compare, library

WHEELS = {"ctransformers-0.2.27": 1, "gpt4all-2.8.2": 2}  # kernels of each norm
TARGETS = "ggml/norm/f32", "ggml/rms_norm/f32"


def command(wheel):
    return PROGRAMS / "use_ggml_norms.py", library(wheel)


@pytest.mark.parametrize("wheel, kernels", WHEELS.items())
def test_drawn_cases_are_replaced(run, capsys, wheel, kernels):
    assert compare(run, command(wheel), capsys) == dict.fromkeys(TARGETS, 40 * kernels)


@pytest.mark.parametrize("wheel", WHEELS)
def test_the_first_launches_are_checked(run, wheel):
    assert check(run, command(wheel)).keys() == set(TARGETS)


@pytest.fixture(scope="module")
def strided(tmp_path_factory):
    """The kernels of 2025, which the compiler must name as tests/data/symbols has them."""
    ptx = tmp_path_factory.mktemp("ggml") / "norms.ptx"
    subprocess.run([sys.executable, ROOT / "tools/nvrtc.py", "--dir", CACHE / "nvrtc-12.0", "-ptx", "-arch=compute_90", "-o",
                    ptx, PROGRAMS / "ggml_2025.cu"], check=True)  # fmt: skip
    names = re.findall(r"\.entry (\w+)", ptx.read_text())
    assert sorted(names) == (ROOT / "tests/data/symbols/ggml-2025.txt").read_text().split()
    return PROGRAMS / "use_ggml_norms.py", ptx


STRIDED = {"ggml/norm/f32": 80, "ggml/rms_norm/f32": 160, "ggml/rms_norm_mul/f32": 80}  # cases drawn


def test_packed_rows_are_replaced_and_others_are_not(run, capsys, strided):
    replaced = compare(run, strided, capsys)
    assert replaced.keys() == STRIDED.keys()
    assert all(drawn / 3 < replaced[kernel] < drawn for kernel, drawn in STRIDED.items())


def test_the_first_launches_of_strided_kernels_are_checked(run, strided):
    assert check(run, strided).keys() == STRIDED.keys()
