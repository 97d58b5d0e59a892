# SPDX-License-Identifier: Apache-2.0
"""lmdeploy's norms, by a library that registers its names (programs/registered.c), on the software device."""

import pytest
from conftest import PROGRAMS, ROOT
from norms_table import check, compare, registered

NAMES = ROOT / "tests" / "data" / "symbols" / "lmdeploy-0.18.0.txt"
PLAIN, SUMS = ({f"lmdeploy/{kind}{norm}_norm/{dtype}" for norm in ("rms", "layer") for dtype in ("f16", "bf16")}
               for kind in ("", "residual_"))  # fmt: skip


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return [PROGRAMS / "use_lmdeploy_norms.py", registered(tmp_path_factory.mktemp("lmdeploy"), NAMES), NAMES]


def test_drawn_cases(run, capsys, command):
    """Those with a stride are passed on."""
    replaced = compare(run, command, capsys)
    assert {kernel for kernel, n in replaced.items() if 20 < n < 40} == PLAIN
    assert {kernel for kernel, n in replaced.items() if n == 40} == SUMS


def test_the_first_launches_are_checked(run, command):
    replaced = check(run, command)
    assert {kernel for kernel, n in replaced.items() if n > 0} == PLAIN | SUMS
