# SPDX-License-Identifier: Apache-2.0
"""apex's layer norms and RMS norms, by a library that registers its names (programs/registered.c), on the software
device."""

import pytest
from conftest import PROGRAMS, ROOT
from norms_table import check, compare, registered

NAMES = ROOT / "tests" / "data" / "symbols" / "apex-6424da3b.txt"
DTYPES = "f32", "f16", "bf16"
KERNELS = [f"{norm}_norm{of}" for norm in ("layer", "rms") for of in ("", "_dx", "_dgamma")]
REPLACED = {f"apex/{kernel}/{dtype}" for kernel in KERNELS for dtype in DTYPES}


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return [PROGRAMS / "use_apex_norms.py", registered(tmp_path_factory.mktemp("apex"), NAMES), NAMES]


def test_drawn_cases(run, capsys, command):
    replaced = compare(run, command, capsys)
    assert {kernel for kernel, n in replaced.items() if n > 8} == REPLACED


def test_the_first_launches_are_checked(run, command):
    replaced = check(run, command)
    assert {kernel for kernel, n in replaced.items() if n > 0} == REPLACED
