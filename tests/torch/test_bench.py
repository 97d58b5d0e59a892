# SPDX-License-Identifier: Apache-2.0
"""tests/gpu/bench.py on the software device: every way of every case is timed and checked, each launch goes the way it
was sent, other people's kernels stand beside ours, and a case is measured once. Times mean nothing here."""

import csv
import zipfile
from itertools import product

import pytest
from conftest import BUILD, ROOT

BENCH = ROOT / "tests" / "gpu" / "bench.py"
# Stands for Liger-Kernel: its functions, by PyTorch's operators.
LIGER = {
    "liger_kernel/__init__.py": "",
    "liger_kernel/ops/__init__.py": "",
    "liger_kernel/ops/layer_norm.py": """
import torch
def layer_norm_forward(x, gamma, beta, eps):
    block, warps = calculate_settings(x.shape[1])
    assert block >= x.shape[1] and warps in (4, 8, 16, 32)
    y, mean, rstd = torch.ops.aten.native_layer_norm(x, [x.shape[1]], gamma, beta, eps)
    return y, x, mean.view(-1), rstd.view(-1), block, warps
def layer_norm_backward(dy, x, gamma, beta, mean, rstd):
    mean, rstd = mean.view(-1, 1), rstd.view(-1, 1)
    return torch.ops.aten.native_layer_norm_backward(dy, x, [x.shape[1]], mean, rstd, gamma, beta, [True] * 3)
""",
    "liger_kernel/ops/rms_norm.py": """
import torch
_str_to_casting_mode = {"gemma": 1}
def rms_norm_forward(x, gamma, eps, offset, casting_mode, row_mode):
    block, warps = calculate_settings(x.shape[1])
    y, rstd = torch.ops.aten._fused_rms_norm(x, [x.shape[1]], gamma, eps)
    return y, x, rstd.view(-1), block, warps, casting_mode
def rms_norm_backward(dy, x, gamma, rstd, offset, casting_mode, block, warps, in_place, row_mode):
    assert in_place and block >= x.shape[1]
    return torch.ops.aten._fused_rms_norm_backward(dy, x, [x.shape[1]], rstd.view(-1, 1), gamma, [True] * 2)
""",
}


@pytest.fixture
def bench(run, tmp_path):
    (tmp_path / "peers").mkdir()
    with zipfile.ZipFile(tmp_path / "peers" / "liger_kernel-0-py3-none-any.whl", "w") as wheel:
        for name, text in LIGER.items():
            wheel.writestr(name, text)
    folder = tmp_path / "results"

    def bench(*words, **env):
        env = {"SOFTGPU_SMS": "4", "TEST_BUILD": str(BUILD), "PEERS": str(tmp_path / "peers")} | env
        done = run([str(BENCH), "--small", *words, str(folder)], cpu_ops=True, env=env, timeout=1000, check=False)
        rows = list(csv.DictReader(open(folder / "bench.csv"))) if (folder / "bench.csv").exists() else []
        return done, [row for row in rows if row["op"] != "copy"]

    return bench


def case(row):
    return tuple(row[key] for key in ("model", "rows", "cols", "dtype", "norm", "op"))


def test_cases_are_measured_once_and_every_launch_is_accounted_for(bench):
    done, rows = bench("telling")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "each launch went the way it was sent" in done.stdout
    assert {row["how"] for row in rows} == {"flushed", "warm", "graph"} and len(set(map(case, rows))) >= 6
    assert {row["op"] for row in rows} >= {"forward", "backward", "both", "dgamma"}
    assert all(float(row[key]) > 0 for row in rows for key in ("original_us", "fuseln_us", "bytes"))
    done, again = bench("telling")
    assert (done.returncode, again) == (0, rows)
    assert f"{len(set(map(case, rows)))} measured before" in done.stdout


def test_a_bench_that_has_no_time_says_so_and_keeps_what_it_has(bench):
    done, rows = bench("--seconds", "0", "telling")
    assert (done.returncode, rows) == (75, [])
    assert "0 cases measured, 0 failed; stopped in time" in done.stdout


def test_other_peoples_kernels_are_timed_beside_ours_and_one_that_is_missing_is_a_line(bench):
    done, rows = bench("peers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quack: not here (ModuleNotFoundError" in done.stdout
    assert all(float(row["compile_us"]) > 0 and float(row["liger_us"]) > 0 for row in rows)
    assert all(row["peers"].startswith("compile liger:") and not row["quack_us"] for row in rows)
    assert {(row["norm"], row["op"]) for row in rows} == set(product(("layer", "rms"), ("forward", "backward", "both")))


def test_a_library_that_was_not_built_is_not_possible(bench):
    done, rows = bench("--library", "direct4=/none.so", "rows")
    assert (done.returncode, done.stdout, rows) == (77, "/none.so was not built\n", [])


def test_wrong_kernels_are_not_timed(bench):
    done, rows = bench("telling", SOFTGPU_PLANT="tail")
    assert done.returncode == 1 and "differs from PyTorch's" in done.stdout
    assert not [row for row in rows if row["op"] == "forward" and row["norm"] == "layer"]
