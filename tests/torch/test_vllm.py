# SPDX-License-Identifier: Apache-2.0
"""vLLM's RMS norms, by the compiled library of its own wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import check, compare, library

COMMAND = [PROGRAMS / "use_vllm_norms.py", library("vllm-0.33.0")]
KERNELS = "vllm/rms_norm", "vllm/fused_add_rms_norm"
REPLACED = {f"{kernel}/{dtype}" for kernel in KERNELS for dtype in ("f32", "f16", "bf16")}


def test_drawn_cases(run, capsys):
    replaced = compare(run, COMMAND, capsys, "vllm")
    assert {kernel for kernel, n in replaced.items() if n > 20} == REPLACED


OWN_RESIDUAL = """
import sys, torch
torch.ops.load_library(sys.argv[1])
x, weight = torch.randn(7, 768, generator=torch.Generator().manual_seed(1)).cuda(), torch.ones(768).cuda()
for residual in (x, x.clone(), x):
    torch.ops._C.fused_add_rms_norm(x, residual, weight, 1e-5)
    print(x.cpu().double().abs().sum().item())
"""


def test_x_that_is_its_own_residual_stays_with_the_original(run):
    """Its sum and y are one tensor; other launches are replaced as before."""
    command = ["-c", OWN_RESIDUAL, COMMAND[1]]
    alone = run(command, fuseln=False).stdout.split()
    ours = run(command).stdout.split()
    assert ours[0] == alone[0] and all(abs(float(a) / float(b) - 1) < 1e-5 for a, b in zip(ours, alone, strict=True))
    sites = run.report()["sites"]
    assert sum(site["substituted"] for site in sites) == 1
    assert [site["passed_through"] for site in sites if site["passed_through"]] == [{"require": 2}]


def test_the_first_launches_are_checked(run):
    replaced = check(run, COMMAND)
    assert {kernel for kernel, n in replaced.items() if n > 0} == REPLACED
