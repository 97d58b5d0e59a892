# SPDX-License-Identifier: Apache-2.0
"""Other people's kernels for the same layer norm and RMS norm, for bench.py: each is timed beside PyTorch's and ours,
in the same run, on the same tensors, and with its own best launch settings. One that is not installed, or cannot do a
case, is a line and no failure. $PEERS (build-gpu/peers) may hold wheels of pure Python, such as Liger-Kernel's, for a
machine that cannot download: pip download --no-deps -d build-gpu/peers liger-kernel
"""

import importlib
import os
import pathlib
import sys
import tempfile
import zipfile

import cases
import torch

EPS = 1e-5


def compiled(bench, case):
    """Inductor's kernels for the same calls, tuned as far as it can."""
    torch.compiler.reset()
    how = {"backend": "eager"} if bench.small else {"mode": "max-autotune-no-cudagraphs"}
    how |= {"dynamic": False, "fullgraph": True}
    forward, backward = torch.compile(cases.forward, **how), torch.compile(cases.backward, **how)
    t, rms = case.tensors, case.norm == "rms"

    def run_forward():
        return forward(t.x, t.gamma, t.beta, EPS, rms)

    def run_backward(mean=t.mean, rstd=t.rstd):
        return backward(t.dy, t.x, mean, rstd, t.gamma, t.beta, [True] * 3, rms)

    runs = {"forward": run_forward, "backward": run_backward, "both": lambda: run_backward(*run_forward()[1:])}
    return runs[case.op], ""


def liger(bench, case):
    """Liger-Kernel, with the number of warps that is best here, for forward and backward apart."""
    found = {}

    def best(op):
        if op not in found:
            ways = {warps: liger_run(case, op, warps) for warps in (4, 8, 16, 32)}
            found[op] = min(ways, key=lambda warps: bench.rough(ways[warps]))
        return found[op]

    if case.op != "both":
        return liger_run(case, case.op, best(case.op)), f":{best(case.op)}"
    forward, backward = (liger_run(case, op, best(op)) for op in ("forward", "backward"))
    return lambda: backward(*forward()[1:]), f":{best('forward')}+{best('backward')}"


def liger_run(case, op, warps):
    t, rms = case.tensors, case.norm == "rms"
    module = importlib.import_module(f"liger_kernel.ops.{'rms' if rms else 'layer'}_norm")
    block = 1 << (case.cols - 1).bit_length()
    settings = lambda cols: (block, warps)  # noqa: E731
    spare = t.dy.clone() if rms and op == "backward" else None  # its fastest way overwrites dy

    def forward():
        module.calculate_settings = settings
        if rms:
            y, _, rstd, *_ = module.rms_norm_forward(t.x, t.gamma, EPS, 0.0, "gemma", None)
            return y, None, rstd
        y, _, mean, rstd, *_ = module.layer_norm_forward(t.x, t.gamma, t.beta, EPS)
        return y, mean, rstd

    def backward(mean=t.mean, rstd=t.rstd):
        module.calculate_settings = settings
        rstd = rstd.view(-1)
        if rms:
            gemma = module._str_to_casting_mode["gemma"]
            return module.rms_norm_backward(spare, t.x, t.gamma, rstd, 0.0, gemma, block, warps, True, None)
        return module.layer_norm_backward(t.dy, t.x, t.gamma, t.beta, mean.view(-1), rstd)

    return forward if op == "forward" else backward


def quack(bench, case):
    """QuACK, with the settings that it chooses for a shape; the parameters of its layer norm are float."""
    module, t, rms = importlib.import_module("quack.rmsnorm"), case.tensors, case.norm == "rms"
    gamma, beta = (p if rms or p is None else p.float() for p in (t.gamma, t.beta))

    def forward():
        if rms:
            y, _, rstd = module.rmsnorm_fwd(t.x, gamma, eps=EPS, store_rstd=True)
            return y, None, rstd
        y, rstd, mean = module.layernorm_fwd(t.x, gamma, beta, EPS, return_rstd=True, return_mean=True)
        return y, mean, rstd

    def backward(mean=t.mean, rstd=t.rstd):
        if rms:
            return module.rmsnorm_bwd(t.x, gamma, t.dy, rstd.view(-1))[:2]
        return module.layernorm_bwd(t.x, gamma, t.dy, rstd.view(-1), mean.view(-1))

    return {"forward": forward, "backward": backward, "both": lambda: backward(*forward()[1:])}[case.op], ""


PEERS = {  # name: (module, function)
    "compile": ("torch._inductor", compiled),
    "liger": ("liger_kernel.ops", liger),
    "quack": ("quack.rmsnorm", quack),
}


def find():
    """Returns {name: function(bench, case) -> (what to time, its settings)} of those that can be imported here."""
    wheels = pathlib.Path(os.environ.get("PEERS") or pathlib.Path(__file__).parents[2] / "build-gpu" / "peers")
    unpacked = tempfile.mkdtemp(prefix="peers-")
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(unpacked)
    sys.path.append(unpacked)
    found = {}
    for name, (module, function) in PEERS.items():
        try:
            importlib.import_module(module)
            found[name] = function
        except Exception as error:
            print(f"{name}: not here ({first_line(error)})")
    return found


def first_line(error):
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
