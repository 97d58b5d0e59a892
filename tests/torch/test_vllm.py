# SPDX-License-Identifier: Apache-2.0
"""vLLM's RMS norms, by the compiled library of its own wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import compare, library


def test_drawn_cases(run, capsys):
    compare(run, [PROGRAMS / "use_vllm_norms.py", library("vllm-0.33.0")], capsys)
