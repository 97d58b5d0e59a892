# SPDX-License-Identifier: Apache-2.0
"""torch.compile, and PyTorch's other ways around its own layer-norm kernels. Backends that keep those kernels are
replaced as eager mode is. Inductor's and quack's kernels pass untouched; the report names and counts them. The software
device has no reference for them, names each once and refuses the launch: so does the program, with fuseln or without."""

import pytest
from conftest import BUILD, check_sums, launches

pytestmark = pytest.mark.usefixtures("unchecked")

TRAIN = """
import torch
from torch import nn
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LayerNorm(32), nn.RMSNorm(32)
        self.wide, self.narrow = nn.Linear(32, 64), nn.Linear(64, 32)
    def forward(self, x):
        x = x + self.narrow(torch.relu(self.wide(self.first(x))))
        return self.second(x)
for backend in (None, "eager", "aot_eager"):
    torch.manual_seed(0)
    model = nn.Sequential(Block(), Block()).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, target = torch.randn(20, 32).cuda(), torch.randn(20, 32).cuda()
    forward = torch.compile(model, backend=backend) if backend else model
    for _ in range(3):
        optimizer.zero_grad()
        (forward(x) - target).square().mean().backward()
        optimizer.step()
    print(*(p.detach().cpu().view(torch.int32).sum().item() for p in model.parameters()))
"""


def test_backends_that_keep_pytorchs_kernels_are_replaced_with_the_same_bits(run):
    eager, *compiled = run(TRAIN, cpu_ops=True).stdout.splitlines()
    assert len(eager.split()) == 2 * 7 and compiled == [eager] * 2
    report = run.report()
    check_sums(report)
    assert report["totals"]["passed_through"] == 0 and report["foreign_norms"] == []
    # Three runs of three steps of four norms; x needs no gradient.
    assert [launches(report, op) for op in ("forward", "dx", "dgamma")] == [36, 27, 36]
    assert {site["rms"] for site in report["sites"]} == {True, False}


INDUCTOR = """
import torch
from torch.nn import functional as F
layer, rms = torch.ops.aten.native_layer_norm_backward, torch.ops.aten._fused_rms_norm_backward
x, dy, mean, rstd = (torch.ones(8, n).cuda() for n in (64, 64, 1, 1))
weight, bias = torch.ones(64).cuda(), torch.zeros(64).cuda()
for call in (
    lambda: F.layer_norm(x, (64,), weight, bias),
    lambda: F.rms_norm(x, (64,), weight),
    lambda: layer(dy, x, [64], mean, rstd, weight, bias, [True] * 3),
    lambda: rms(dy, x, [64], rstd, weight, [True] * 2),
):
    try:
        print(torch.compile(call)())
    except RuntimeError as error:
        print(error)
"""
INDUCTORS = [f"triton_per_fused_{op}_0" for op in (
    "native_layer_norm", "_fused_rms_norm", "native_layer_norm_backward", "_fused_rms_norm_backward")]  # fmt: skip


def test_inductors_kernels_pass_untouched_and_are_named(run, tmp_path):
    env = {"TRITON_LIBCUDA_PATH": str(BUILD / "tests" / "softgpu"),
           "TRITON_CACHE_DIR": str(tmp_path / "triton"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
           "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # fmt: skip
    for fuseln in (False, True):
        done = run(INDUCTOR, fuseln=fuseln, env=env)
        assert done.stdout == "CUDA driver error: operation not supported\n" * 4
        for name in INDUCTORS:
            assert f"no reference for kernel {name}\n" in done.stderr
    check_foreign(run.report(), [("inductor", name, 1) for name in INDUCTORS])


def check_foreign(report, norms):
    check_sums(report)
    assert [(norm["maker"], norm["symbol"], norm["launches"]) for norm in report["foreign_norms"]] == norms
    assert report["totals"]["recognised"] == 0
    assert report["totals"]["launches"] == sum(launches for _, _, launches in norms)
    assert "kernels that fuseln does not know" in report["why"]


# Named as nvidia-cutlass-dsl 4.6.2 and 4.8.0 name them for torch/_vendor/quack (bf16, 1,024 columns). They cannot run
# here: that compiler is no part of the tests, and its library has a static CUDA runtime, which needs a real driver. The
# runtime asks for cuLibraryGetKernel, cuModuleGetFunction and cuLaunchKernelEx and gets ours (seen with asked.c).
QUACK = [
    "kernel_cutlass_kernel_torch_vendorquackrmsnormRMSNorm_object_at__tensorptrbf16gmemalign16o1024i64div81_tensorptr"
    "bf16_gmem_align16_o_4102401_None_None_tensorptrbf16gmemalign16o1024i64div81_0",
    "kernel_cutlass_kernel_torch_vendorquackrmsnormRMSNormBackward_object_at__tensorptrbf16gmemalign16o1024i64div81_"
    "tensorptrbf16_gmem_align16_o_1102401_tensorptrbf16gmemalign16o1024i64div81_N_0",
]
DRIVER = """
from cuda.bindings import driver
def ok(result):
    assert result[0] == driver.CUresult.CUDA_SUCCESS, result[0]
    return result[1] if len(result) == 2 else result[1:]
def launch(kernel):
    print(driver.cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, 0, 0, 0)[0].name)
names = [name.encode() for name in NAMES]
ok(driver.cuInit(0))
ok(driver.cuCtxSetCurrent(ok(driver.cuDevicePrimaryCtxRetain(0))))
image = b".version 8.0\\n.target sm_90\\n" + b"".join(b".visible .entry %s() { ret; }\\n" % name for name in names)
library = ok(driver.cuLibraryLoadData(image, [], [], 0, [], [], 0))
for name in names:
    kernel = ok(driver.cuLibraryGetKernel(library, name))
    launch(driver.CUfunction(int(kernel)))
    launch(ok(driver.cuKernelGetFunction(kernel)))
module = ok(driver.cuModuleLoadData(image))
function = ok(driver.cuModuleGetFunction(module, names[0]))
launch(function)
launch(ok(driver.cuModuleGetFunction(module, b"gemm")))
ok(driver.cuModuleUnload(module))
"""


def test_quacks_kernels_are_named_as_the_driver_gives_them_out(run):
    done = run(DRIVER.replace("NAMES", repr([*QUACK, "gemm"])))
    assert done.stdout == "CUDA_ERROR_NOT_SUPPORTED\n" * 8
    report = run.report()
    assert report["totals"]["launches"] == 8
    assert [(norm["maker"], norm["launches"]) for norm in report["foreign_norms"]] == [("quack", 3), ("quack", 2)]
    assert [norm["symbol"] for norm in report["foreign_norms"]] == [name[:159] for name in QUACK]
    assert "TORCH_DISABLE_NATIVE_JIT=1" in report["why"]
    text = run(DRIVER.replace("NAMES", repr([*QUACK, "gemm"])), env={"FUSELN_REPORT": "stderr"}).stderr
    assert f"\n             3  quack        {QUACK[0][:71]}\n" in text
