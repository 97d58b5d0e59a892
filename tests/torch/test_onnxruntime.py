# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's norms, in sessions of its own wheel, on the software device."""

import sys

import pytest
from conftest import PROGRAMS, ROOT
from norms_table import CACHE, check, compare

sys.path.append(str(ROOT / "tests" / "softgpu"))
import libraries  # noqa: E402

PROGRAM = PROGRAMS / "use_onnxruntime_norms.py"


@pytest.fixture(autouse=True)
def wheel(run):
    """Its environment, and stand-ins for the CUDA libraries that its CUDA provider asks for."""
    venv, folder = CACHE / "onnxruntime-gpu-1.31.1", run.folder / "libraries"
    (provider,) = venv.glob("lib/python3*/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so")
    folder.mkdir()
    libraries.make(folder, provider)
    run.python = str(venv / "bin" / "python")
    run.env["LD_LIBRARY_PATH"] = str(folder)


def test_drawn_cases(run, capsys):
    """All are replaced but 9 of layer_norm, whose gamma and beta have many rows, and 9 of skip_layer_norm, whose skip
    is shared."""
    replaced = compare(run, [PROGRAM], capsys, "onnxruntime")
    assert replaced.pop("onnxruntime/layer_norm/f32, in a block") == 1
    assert replaced == {
        f"onnxruntime/{kernel}/{dtype}": count + (large if kernel == "layer_norm" else 0)
        for kernel, count in {"layer_norm": 27, "rms_norm": 9, "skip_layer_norm": 18, "skip_rms_norm": 9}.items()
        for dtype, large in {"f32": 1, "f16": 2, "bf16": 1}.items()
    }


def test_first_launches_are_checked(run):
    replaced = check(run, [PROGRAM])
    assert all(replaced[f"onnxruntime/layer_norm/{dtype}"] for dtype in ("f32", "f16", "bf16"))
