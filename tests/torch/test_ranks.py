# SPDX-License-Identifier: Apache-2.0
"""Two ranks that train with gloo, started by torchrun, by mpirun and as Slurm's srun would: each writes its own report,
and the command adds them up and says where they differ. launchers.py does the same with other launchers."""

import json
import pathlib
import re
import socket
import subprocess
import sys

import pytest
from conftest import COMMAND, check_sums

RANKS = str(pathlib.Path(__file__).resolve().parent / "ranks.py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def launcher(name):
    program = [sys.executable, RANKS]
    as_srun = 'for i in 0 1; do SLURM_NTASKS=2 SLURM_PROCID=$i "$@" & done; wait'
    return {
        "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                     "--master-port", free_port(), RANKS],
        "mpirun": ["mpirun", "--oversubscribe", "-n", "2", *program],
        "srun": ["sh", "-c", as_srun, "srun", *program],
    }[name]  # fmt: skip


def report(*files):
    done = subprocess.run([COMMAND, "report", "--json", *files], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def two_ranks(run, command, more=0, **env):
    """Runs the command, whose ranks write rank%r-%p.json, and checks their reports; returns them added up."""
    env = {"FUSELN_REPORT": "rank%r-%p.json", "MASTER_PORT": free_port(), "MORE_STEPS_OF_RANK_1": str(more),
           "FUSELN_CHECK": "0", "OMP_NUM_THREADS": "1"} | env  # fmt: skip
    done = run.program(command, cpu_ops=True, env=env)
    assert sorted(re.findall(r"rank (\d): [\d.]+", done.stdout + done.stderr)) == ["0", "1"]
    files = sorted(run.folder.glob("*.json"))
    assert [file.name.split("-")[0] for file in files] == ["rank0", "rank1"]
    for file in files:
        check_sums(json.loads(file.read_text()))
    merged = report(*files)
    assert [file["rank"] for file in merged["files"]] == ["0", "1"]
    assert 0 < merged["totals"]["substituted"] == merged["totals"]["recognised"]
    return merged


@pytest.mark.parametrize("name, more", [("torchrun", 2), ("mpirun", 0), ("srun", 0)])
def test_two_ranks(run, name, more):
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    merged = two_ranks(run, launcher(name), more, **root)
    assert merged["totals"]["substituted"] == (3 + 3 + more) * 5  # no dX of the first norm
    forward = next(site for site in merged["sites"] if site["op"] == "forward")
    assert forward["by_rank"] == {"0": 6, "1": 6 + 2 * more}
    assert len(merged["differences"]) == (3 if more else 0)
