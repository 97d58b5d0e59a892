# SPDX-License-Identifier: Apache-2.0
"""Children that PyTorch's own tools fork: each that launches has a report, and the others leave no trace."""

import json
import subprocess

import pytest
from conftest import COMMAND, check_sums

pytestmark = pytest.mark.usefixtures("unchecked")


CHILDREN = """
import json, os, signal, torch, torch.multiprocessing
def launch(times):
    x = torch.randn(8, 64).cuda()
    for _ in range(times):
        torch.nn.functional.layer_norm(x, (64,))
def nothing(): torch.nn.functional.layer_norm(torch.randn(8, 64), (64,))
def one(): launch(1)
def killed(): launch(1); os.kill(os.getpid(), signal.SIGKILL)
def grandchild(): start(one); launch(1)
def start(*targets):
    children = [torch.multiprocessing.get_context("fork").Process(target=target) for target in targets]
    for child in children: child.start()
    for child in children: child.join(); print(child.exitcode, flush=True)
start(nothing, one, killed, grandchild)
launch(3)
"""


def test_forked_children_that_launch_have_a_report_each_and_others_none(run, tmp_path):
    """CUDA starts in the children, after the fork. Those of multiprocessing end by os._exit."""
    done = run(CHILDREN, env={"FUSELN_REPORT": "%p.json"})
    assert (done.stdout.split(), done.stderr) == (run(CHILDREN, fuseln=False).stdout.split(), "")
    files = sorted(tmp_path.glob("*.json"))
    for file in files:
        check_sums(json.loads(file.read_text()))
    assert sorted(json.loads(file.read_text())["totals"]["substituted"] for file in files) == [1, 1, 1, 1, 3]
    merged = subprocess.run([COMMAND, "report", "--json", *files], capture_output=True, text=True, check=True).stdout
    assert json.loads(merged)["totals"]["substituted"] == 7


LOADER = """
import torch
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, i): return torch.nn.functional.layer_norm(torch.arange(64.0) + i, (64,))
for batch in torch.utils.data.DataLoader(Rows(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
    torch.nn.functional.layer_norm(batch.cuda(), (64,))
    print(batch.sum().item())
"""


def test_workers_of_a_data_loader_are_quiet(run, tmp_path):
    done = run(LOADER, env={"FUSELN_REPORT": "%p.json"})
    assert done.stderr == ""
    (report,) = tmp_path.glob("*.json")
    assert json.loads(report.read_text())["totals"]["substituted"] == 2
    assert done.stdout == run(LOADER, fuseln=False).stdout
