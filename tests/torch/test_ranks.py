# SPDX-License-Identifier: Apache-2.0
"""Two ranks that train with gloo, started by torchrun and by mpirun: each writes its own report, and the command adds
them up and says where they differ."""

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
    if name == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(), RANKS]
    return ["mpirun", "--oversubscribe", "-n", "2", sys.executable, RANKS]


def report(*files):
    done = subprocess.run([COMMAND, "report", "--json", *files], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name, more", [("torchrun", 2), ("mpirun", 0)])
def test_two_ranks(run, tmp_path, name, more):
    env = {"FUSELN_REPORT": "rank%r-%p.json", "MASTER_PORT": free_port(), "MORE_STEPS_OF_RANK_1": str(more),
           "FUSELN_CHECK": "0", "OMP_NUM_THREADS": "1",
           "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # fmt: skip
    done = run.program(launcher(name), cpu_ops=True, env=env)
    assert sorted(re.findall(r"rank (\d): [\d.]+", done.stdout)) == ["0", "1"]
    files = sorted(tmp_path.glob("*.json"))
    assert [file.name.split("-")[0] for file in files] == ["rank0", "rank1"]
    for file in files:
        check_sums(json.loads(file.read_text()))
    merged = report(*files)
    assert [file["rank"] for file in merged["files"]] == ["0", "1"]
    steps = 3 + 3 + more
    assert merged["totals"]["substituted"] == merged["totals"]["recognised"] == steps * 5  # no dX of the first norm
    forward = next(site for site in merged["sites"] if site["op"] == "forward")
    assert forward["by_rank"] == {"0": 6, "1": 6 + 2 * more}
    assert len(merged["differences"]) == (3 if more else 0)
