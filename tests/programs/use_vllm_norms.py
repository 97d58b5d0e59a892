# SPDX-License-Identifier: Apache-2.0
"""use_vllm_norms.py LIBRARY: vLLM's rms_norm and fused_add_rms_norm of its own library on drawn cases (norms.py)."""

import sys

import norms
import torch

torch.ops.load_library(sys.argv[1])
rms_norm, fused_add = torch.ops._C.rms_norm, torch.ops._C.fused_add_rms_norm
drawn = norms.Drawn()


def draw_rms(dtype, rows, cols):
    eps, weight, stride = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(1, 1, 1, 0), drawn.pick(0, 0, 0, 0, 16)
    x64, x = drawn.values(dtype, rows, cols + stride, scale=drawn.pick(1.0, 1e-3, 20.0), skew=drawn.pick(0, 0, 0, 1))
    gamma64, gamma = drawn.values(dtype, cols)
    in_place = not stride and drawn.pick(0, 0, 0, 1)
    y = x if in_place else torch.full((rows, cols), 7.0, dtype=dtype, device="cuda")
    rms_norm(y, x[:, :cols], gamma if weight else None, eps)
    value, *_ = norms.norm(x64[:, :cols], gamma64 if weight else torch.ones(cols), torch.zeros(1), eps, rms=True)
    drawn.say(f"vllm/rms_norm/{norms.SHORT[dtype]}", (y, value))


def draw_heads(dtype, rows, cols):
    """x of rank 3: a norm of each head, rows of two strides."""
    eps, heads = 1e-5, 4
    x64, x = drawn.values(dtype, rows, heads + 1, cols)
    gamma64, gamma = drawn.values(dtype, cols)
    y = torch.full((rows, heads, cols), 7.0, dtype=dtype, device="cuda")
    rms_norm(y, x[:, :heads], gamma, eps)
    value, *_ = norms.norm(x64[:, :heads].reshape(-1, cols), gamma64, torch.zeros(1), eps, rms=True)
    drawn.say(f"vllm/rms_norm/rank 3/{norms.SHORT[dtype]}", (y.view(-1, cols), value))


def draw_fused_add(dtype, rows, cols):
    eps, weight = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(1, 1, 1, 0)
    scale = drawn.pick(1.0, 1e-3, 20.0)
    x64, x = drawn.values(dtype, rows, cols, scale=scale, skew=drawn.pick(0, 0, 0, 1))
    residual64, residual = drawn.values(dtype, rows, cols, scale=scale, skew=drawn.pick(0, 0, 0, 1))
    gamma64, gamma = drawn.values(dtype, cols)
    fused_add(x, residual, gamma if weight else None, eps)
    exact, total = x64 + residual64, residual.cpu().double()
    value, *_ = norms.norm(total, gamma64 if weight else torch.ones(cols), torch.zeros(1), eps, rms=True)
    drawn.say(f"vllm/fused_add_rms_norm/{norms.SHORT[dtype]}", (x, value), (residual, norms.Value(exact, exact.abs(), 0)))


for dtype in norms.SHORT:
    for shape in drawn.shapes():
        draw_rms(dtype, *shape)
        draw_fused_add(dtype, *shape)
    draw_heads(dtype, 7, 128)
