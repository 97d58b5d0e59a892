# SPDX-License-Identifier: Apache-2.0
"""sglang-kernel's RMS norms, by the compiled library of its own wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import check, compare, library

COMMAND = [PROGRAMS / "use_sglang_norms.py", library("sglang-kernel-0.4.10")]
KERNELS = "sglang/rmsnorm", "sglang/fused_add_rmsnorm"
REPLACED = {f"{kernel}/{dtype}" for kernel in KERNELS for dtype in ("f16", "bf16")} | {f"{KERNELS[1]}/f32"}


def test_drawn_cases(run, capsys):
    replaced = compare(run, COMMAND, capsys, "sglang")
    assert {kernel for kernel, n in replaced.items() if n > 20} == REPLACED


def test_the_first_launches_are_checked(run):
    replaced = check(run, COMMAND)
    assert {kernel for kernel, n in replaced.items() if n > 0} == REPLACED
