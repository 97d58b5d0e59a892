"""Programs that others wrote, at the driver boundary: cuda-bindings launches PyTorch's layer-norm kernel, which is
replaced; Triton's launcher and a torch.compile program launch kernels of their own, which pass untouched and are
counted. (The software device has no reference for those: it names each, once, and refuses the launch.)"""

import os
import pathlib

import pytest
from test_closed import image  # noqa: F401

BINDINGS = """
import ctypes, sys
import numpy as np
from cuda.bindings import driver

def ok(result):
    assert result[0] == driver.CUresult.CUDA_SUCCESS, result[0]
    return result[1] if len(result) == 2 else result[1:]

ok(driver.cuInit(0))
ok(driver.cuCtxSetCurrent(ok(driver.cuDevicePrimaryCtxRetain(0))))
with open(sys.argv[1], "rb") as file:
    module = ok(driver.cuModuleLoadData(file.read()))
kernel = ok(driver.cuModuleGetFunction(module, sys.argv[2].encode()))
x = np.random.default_rng(0).standard_normal((5, 768), dtype=np.float32)
y = np.zeros_like(x)
memory = [ok(driver.cuMemAlloc(n)) for n in (x.nbytes, 256, 256, x.nbytes)]
ok(driver.cuMemcpyHtoD(memory[0], x.ctypes.data, x.nbytes))
values = 768, 1e-5, int(memory[0]), 0, 0, *(int(m) for m in memory[1:])
types = ctypes.c_int, ctypes.c_float, *[ctypes.c_void_p] * 6
ok(driver.cuLaunchKernel(kernel, 5, 1, 1, 32, 4, 1, 24, 0, (values, types), 0))
ok(driver.cuCtxSynchronize())
ok(driver.cuMemcpyDtoH(y.ctypes.data, memory[3], y.nbytes))
x = x.astype(np.float64)
mean, rstd = x.mean(1, keepdims=True), 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
want = (x - mean) * rstd
bound = 4 * 2.0**-24 * (abs(want) + abs(x).mean(1, keepdims=True) * rstd)
print((abs(y - want) / bound).max())
"""

TRITON = """
import torch, triton
import triton.language as tl

@triton.jit
def add_one(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, tl.load(x + i, mask=i < n) + 1, mask=i < n)

x, y = torch.ones(64).cuda(), torch.zeros(64).cuda()
for _ in range(3):
    try:
        add_one[(1,)](x, y, 64, BLOCK=64)
    except RuntimeError as error:
        print(error)
torch.nn.functional.layer_norm(x.view(1, 64), (64,))
"""

COMPILED = """
import torch
x = torch.ones(8, 64).cuda()
try:
    torch.compile(lambda x: torch.nn.functional.layer_norm(x, (64,)))(x)
except RuntimeError as error:
    print(error)
torch.nn.functional.layer_norm(x, (64,))
"""


def test_cuda_bindings(run, image):  # noqa: F811
    done = run(["-c", BINDINGS, *map(str, image)])
    assert float(done.stdout) < 1
    (site,) = run.report()["sites"]
    assert (site["boundary"], site["launches"], site["substituted"]) == ("driver", 1, 1)
    assert "cydriver" in site["library"]


@pytest.mark.parametrize("code, kernel, launches", [(TRITON, "add_one", 4), (COMPILED, "triton_per_fused_native_layer_norm_0", None)])  # fmt: skip
def test_kernels_of_others_pass_untouched(run, tmp_path, code, kernel, launches):
    env = {"TRITON_LIBCUDA_PATH": str(pathlib.Path(os.environ["TEST_BUILD"], "tests", "softgpu")),
           "TRITON_CACHE_DIR": str(tmp_path / "triton"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
           "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # fmt: skip
    (tmp_path / "client.py").write_text(code)
    said = {}
    for fuseln in (False, True):
        done = run([str(tmp_path / "client.py")], fuseln=fuseln, env=env)
        said[fuseln] = done.stdout
        assert f"no reference for kernel {kernel}" in done.stderr
    assert said[True] == said[False]
    assert "operation not supported" in said[True]
    report = run.report()
    (site,) = report["sites"]  # the eager layer norm alone
    assert (site["boundary"], site["launches"], site["substituted"]) == ("runtime", 1, 1)
    assert site["runtime"] == "shared"
    assert report["totals"]["launches"] == launches or launches is None and report["totals"]["launches"] > 1
