# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote, at the driver boundary: cuda-bindings launches PyTorch's layer-norm kernel, which is
replaced; Triton's launcher launches a kernel of its own, which passes untouched and is counted. (The software device has
no reference for it: it names it once and refuses the launch. torch.compile: test_compile.py.)"""

import pytest
from conftest import BUILD, PROGRAMS

pytestmark = pytest.mark.usefixtures("unchecked")


def test_cuda_bindings(run, image):
    done = run([str(PROGRAMS / "bindings.py"), *map(str, image)])
    assert float(done.stdout) < 1
    (site,) = run.report()["sites"]
    assert (site["boundary"], site["launches"], site["substituted"]) == ("driver", 1, 1)
    assert "cydriver" in site["library"]


def test_tritons_kernels_pass_untouched(run, tmp_path):
    env = {"TRITON_LIBCUDA_PATH": str(BUILD / "tests" / "softgpu"), "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    said = {}
    for fuseln in (False, True):
        done = run([str(PROGRAMS / "triton_add.py")], fuseln=fuseln, env=env)
        said[fuseln] = done.stdout
        assert "no reference for kernel add_one" in done.stderr
    assert said[True] == said[False]
    assert "operation not supported" in said[True]
    report = run.report()
    (site,) = report["sites"]  # the eager layer norm alone
    assert (site["boundary"], site["launches"], site["substituted"]) == ("runtime", 1, 1)
    assert site["runtime"] == "shared"
    assert report["totals"]["launches"] == 4 and report["foreign_norms"] == []
