# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote, at the driver boundary: cuda-bindings launches PyTorch's layer-norm kernel, which is
replaced; Triton's launcher and a torch.compile program launch kernels of their own, which pass untouched and are
counted. (The software device has no reference for those: it names each once and refuses the launch.)"""

import pytest
from conftest import BUILD, PROGRAMS

pytestmark = pytest.mark.usefixtures("unchecked")


def test_cuda_bindings(run, image):
    done = run([str(PROGRAMS / "bindings.py"), *map(str, image)])
    assert float(done.stdout) < 1
    (site,) = run.report()["sites"]
    assert (site["boundary"], site["launches"], site["substituted"]) == ("driver", 1, 1)
    assert "cydriver" in site["library"]


@pytest.mark.parametrize("program, kernel, launches", [("triton_add.py", "add_one", 4), ("compiled.py", "triton_per_fused_native_layer_norm_0", None)])  # fmt: skip
def test_kernels_of_others_pass_untouched(run, tmp_path, program, kernel, launches):
    env = {"TRITON_LIBCUDA_PATH": str(BUILD / "tests" / "softgpu"),
           "TRITON_CACHE_DIR": str(tmp_path / "triton"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
           "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # fmt: skip
    said = {}
    for fuseln in (False, True):
        done = run([str(PROGRAMS / program)], fuseln=fuseln, env=env)
        said[fuseln] = done.stdout
        assert f"no reference for kernel {kernel}" in done.stderr
    assert said[True] == said[False]
    assert "operation not supported" in said[True]
    report = run.report()
    (site,) = report["sites"]  # the eager layer norm alone
    assert (site["boundary"], site["launches"], site["substituted"]) == ("runtime", 1, 1)
    assert site["runtime"] == "shared"
    assert report["totals"]["launches"] == launches or launches is None and report["totals"]["launches"] > 1
