# SPDX-License-Identifier: Apache-2.0
"""sglang-kernel's RMS norms, by the compiled library of its own wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import compare, library


def test_drawn_cases(run, capsys):
    compare(run, [PROGRAMS / "use_sglang_norms.py", library("sglang-kernel-0.4.10")], capsys)
