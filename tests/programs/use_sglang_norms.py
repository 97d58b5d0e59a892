# SPDX-License-Identifier: Apache-2.0
"""use_sglang_norms.py LIBRARY: the RMS norms of sglang-kernel's own library, which are flashinfer's, on drawn cases
(norms.py). Gemma's add 1 to the weight. Each launch has the attribute of programmatic serialisation, on or off."""

import sys

import norms
import torch

torch.ops.load_library(sys.argv[1])
ops = torch.ops.sgl_kernel
drawn = norms.Drawn()


def draw_rms(dtype, rows, cols, gemma):
    eps, stride = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(0, 0, 0, 0, 16)
    x64, x = drawn.values(dtype, rows, cols + stride, scale=drawn.pick(1.0, 1e-3, 20.0))
    gamma64, gamma = drawn.values(dtype, cols)
    y = torch.full((rows, cols), 7.0, dtype=dtype, device="cuda")
    (ops.gemma_rmsnorm if gemma else ops.rmsnorm)(y, x[:, :cols], gamma, eps, drawn.pick(True, False))
    value, *_ = norms.norm(x64[:, :cols], gemma + gamma64, torch.zeros(1), eps, rms=True)
    drawn.say(f"sglang/rmsnorm/{norms.SHORT[dtype]}", (y, value))


def draw_fused_add(dtype, rows, cols, gemma):
    eps, scale = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(1.0, 1e-3, 20.0)
    x64, x = drawn.values(dtype, rows, cols, scale=scale)
    residual64, residual = drawn.values(dtype, rows, cols, scale=scale)
    gamma64, gamma = drawn.values(dtype, cols)
    fused_add = ops.gemma_fused_add_rmsnorm if gemma else ops.fused_add_rmsnorm
    fused_add(x, residual, gamma, eps, drawn.pick(True, False))
    total = x64 + residual64
    value, *_ = norms.norm(total, gemma + gamma64, torch.zeros(1), eps, rms=True)
    value = value._replace(bound=value.bound + 2 * norms.u * value.magnitude)  # the sum is one of floats
    drawn.say(f"sglang/fused_add_rmsnorm/{norms.SHORT[dtype]}", (x, value), (residual, norms.Value(total, total.abs(), 0)))


for dtype in norms.SHORT:
    for shape in drawn.shapes():
        if dtype == torch.float32:  # of float there is one kernel
            draw_fused_add(dtype, *shape, 0)
        else:
            draw_rms(dtype, *shape, drawn.pick(0, 0, 1))
            draw_fused_add(dtype, *shape, drawn.pick(0, 0, 1))
