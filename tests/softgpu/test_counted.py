# SPDX-License-Identifier: Apache-2.0
"""The software device with counted kernels (run --count): what a real wheel's layer norm reads and writes, from the
launch log; and that a failed check is the process's error."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

RUN = pathlib.Path(__file__).resolve().parent / "run"
TRAIN = """
import torch
rows, cols = 64, 1024
x = torch.rand(rows, cols, dtype=torch.{dtype}).cuda().requires_grad_()
layer = torch.nn.LayerNorm(cols, dtype=torch.{dtype}).cuda()
y = layer(x)
y.backward(torch.rand(rows, cols, dtype=torch.{dtype}).cuda())
torch.cuda.synchronize()
"""


def device(tmp_path, code):
    log = tmp_path / "log"
    done = subprocess.run([RUN, "--count", "--log", log, "--", sys.executable, "-c", code], capture_output=True, text=True,
                          env=dict(os.environ, CUDA_MODULE_LOADING="LAZY"))  # fmt: skip
    return done, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("dtype, size", [("float32", 4), ("bfloat16", 2)])
def test_layer_norm_asks_for_each_byte_once(tmp_path, dtype, size):
    done, launches = device(tmp_path, TRAIN.format(dtype=dtype))
    assert done.returncode == 0, done.stderr
    tensor = 64 * 1024 * size
    forward = [k for k in launches if k["kind"] == "ours" and "forward" in k["name"]]
    assert len(forward) == 1
    read, written = forward[0]["read"], forward[0]["written"]
    assert read["compulsory"] == tensor + 2 * 1024 * size  # x, gamma and beta
    params = tensor if size == 4 else tensor // 2  # gamma and beta each: once per row, for half types per two rows
    assert read["bytes"] == tensor + 2 * params
    assert written["bytes"] == written["compulsory"] == tensor + 2 * 64 * 4  # y, mean and rstd
    assert read["accesses"] == [0, 0, 0, 0, read["bytes"] // 16]
    assert written["accesses"] == [0, 0, 2 * 64, 0, tensor // 16]
    backward = [k for k in launches if k["kind"] == "ours" and "forward" not in k["name"]]
    assert backward and all(k["read"]["bytes"] for k in backward)


def test_a_read_of_unset_memory_is_an_error(tmp_path):
    done, _ = device(tmp_path, "import torch; x = torch.empty(64, 1024, device='cuda')\n"
                               "torch.nn.functional.layer_norm(x, (1024,)); torch.cuda.synchronize()")  # fmt: skip
    assert done.returncode == 86, done.stderr
    assert "unset-global-memory: thread (0,0,0) reads 16 bytes at byte 0 of an allocation" in done.stderr
