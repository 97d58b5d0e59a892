# SPDX-License-Identifier: Apache-2.0
"""vLLM's RMS norms, by the compiled library of its own wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import check, compare, library

COMMAND = [PROGRAMS / "use_vllm_norms.py", library("vllm-0.33.0")]
KERNELS = "vllm/rms_norm", "vllm/fused_add_rms_norm"
REPLACED = {f"{kernel}/{dtype}" for kernel in KERNELS for dtype in ("f32", "f16", "bf16")}


def test_drawn_cases(run, capsys):
    replaced = compare(run, COMMAND, capsys)
    assert {kernel for kernel, n in replaced.items() if n > 20} == REPLACED


def test_the_first_launches_are_checked(run):
    replaced = check(run, COMMAND)
    assert {kernel for kernel, n in replaced.items() if n > 0} == REPLACED
