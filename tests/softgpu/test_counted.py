# SPDX-License-Identifier: Apache-2.0
"""The software device with counted kernels (run --count): a failed check of what a real wheel's layer norm reads is the
process's error."""
import pathlib
import subprocess
import sys

RUN = pathlib.Path(__file__).resolve().parent / "run"
CODE = """
import torch
x = torch.empty(64, 1024, device="cuda")
torch.nn.functional.layer_norm(x, (1024,))
torch.cuda.synchronize()
"""


def test_a_read_of_unset_memory_is_an_error():
    command = [RUN, "--count", "--", sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 86, done.stderr
    assert "unset-global-memory: thread (0,0,0) reads 16 bytes at byte 0 of an allocation" in done.stderr
