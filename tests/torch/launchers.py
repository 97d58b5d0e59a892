# SPDX-License-Identifier: Apache-2.0
"""The two ranks of test_ranks.py, started by Accelerate, by DeepSpeed's launcher and by Ray, whose workers get the
preload from runtime_env alone. Ray ends its workers without their exit handlers: their reports are the last snapshots.
tools/test.sh --all launchers runs it; LAUNCHERS is the folder that holds the three."""

import os
import sys

import pytest
from test_ranks import RANKS, free_port, two_ranks

RAY = """
import os, runpy, sys, ray

given = {name: os.environ.pop(name) for name in ("LD_PRELOAD", "FUSELN_REPORT", "FUSELN_CHECK")}  # only by runtime_env
ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": given})

@ray.remote(num_cpus=1)
def train(rank, file):
    os.environ.update(RANK=rank, WORLD_SIZE="2")
    runpy.run_path(file, run_name="__main__")

ray.get([train.remote(rank, sys.argv[1]) for rank in "01"])
"""
LAUNCHERS = {
    "accelerate": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                   "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "PORT"],
    "deepspeed": ["-m", "deepspeed.launcher.runner", "--num_gpus", "2", "--master_port", "PORT"],
    "ray": ["-c", RAY],
}  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_ranks(run, tmp_path, name):
    port = free_port()
    command = [sys.executable, *(port if word == "PORT" else word for word in LAUNCHERS[name]), RANKS]
    merged = two_ranks(run, command, MASTER_PORT=port, PYTHONPATH=os.environ["LAUNCHERS"], HOME=str(tmp_path),
              RAY_AUTH_MODE="disabled", RAY_TMPDIR="/tmp")  # fmt: skip
    assert name == "ray" or merged["totals"]["substituted"] == (3 + 3) * 5  # no dX of the first norm
