# SPDX-License-Identifier: Apache-2.0
"""use_lmdeploy_norms.py LIBRARY NAMES: lmdeploy's RMS norms and layer norms, plain and of a sum in place, on drawn cases
(norms.py). The library stands for lmdeploy's own (registered.c); grids and arguments are lmdeploy's."""

import ctypes
import sys

import norms
import torch

TYPES = {torch.float16: "6__half", torch.bfloat16: "13__nv_bfloat16"}
i32, f32 = ctypes.c_int, ctypes.c_float

drawn, library = norms.Drawn(), norms.Registered(*sys.argv[1:])


def launch(kernel, rows, *arguments):
    library.launch(kernel, (rows, 1), (512, 1), 0, *arguments)


def last(rows, cols, eps):
    return i32(cols), i32(rows), f32(eps), f32(1 / cols)


def draw(dtype, rows, cols, centre=0):
    """eps; x, another of its shape, and three rows: each in float64 and on the device. centre: of x, in its spread"""
    scale = drawn.pick(1.0, 1e-3, 20.0)
    x = drawn.values(dtype, rows, cols, scale=scale, offset=scale * centre)
    return drawn.pick(1e-5, 1e-6, 1e-3), x, drawn.values(dtype, rows, cols, scale=scale), *(
        drawn.values(dtype, cols, scale=of) for of in (1.0, 1.0, scale))  # fmt: skip


def summed(dtype, *terms):
    """Each addition is rounded, in this order."""
    total = terms[0].to(dtype)
    for term in terms[1:]:
        total = total + term.to(dtype)
    return norms.Value(total.double(), torch.zeros_like(terms[0]), 0)


def draw_rms(dtype, rows, cols):
    about_zero, stride = drawn.pick(0, 0, 1), drawn.pick(0, 0, 0, 0, 16)
    eps, (x64, x), _, (gamma64, gamma), *_ = draw(dtype, rows, cols + stride)
    y = torch.full((rows, cols), 7.0, dtype=dtype, device="cuda")
    launch(f"6kernel7RMSNormILb{about_zero}E{TYPES[dtype]}f", rows, y, i32(cols), x, i32(cols + stride), gamma,
           *last(rows, cols, eps))  # fmt: skip
    value, *_ = norms.norm(x64[:, :cols], about_zero + gamma64[:cols], torch.zeros(1), eps, rms=True)
    drawn.say(f"lmdeploy/rms_norm/{norms.SHORT[dtype]}", (y, value), roundings=2 - about_zero)


def draw_layer(dtype, rows, cols):
    has_beta, stride = drawn.pick(0, 1, 1), drawn.pick(0, 0, 0, 0, 16)
    eps, (x64, x), _, (gamma64, gamma), (beta64, beta), _ = draw(dtype, rows, cols + stride, drawn.pick(0, 0, 1, 10))
    y = torch.full((rows, cols), 7.0, dtype=dtype, device="cuda")
    launch(f"6kernel9LayerNormI{TYPES[dtype]}fLi512ELi8ELb{has_beta}E", rows, y, i32(cols), x, i32(cols + stride), gamma,
           beta if has_beta else None, *last(rows, cols, eps))  # fmt: skip
    values = norms.both_values(x64[:, :cols], gamma64[:cols], beta64[:cols] * has_beta, eps)
    drawn.say(f"lmdeploy/layer_norm/{norms.SHORT[dtype]}", (y, *values))


def draw_rms_sum(dtype, rows, cols):
    about_zero, has_bias = drawn.pick(0, 0, 1), drawn.pick(0, 1)
    eps, (x64, x), (residual64, residual), (gamma64, gamma), _, (bias64, bias) = draw(dtype, rows, cols)
    launch(f"25BiasResidualRMSNormKernelILb{about_zero}E{TYPES[dtype]}f", rows, residual, x, gamma, bias if has_bias else None,
           *last(rows, cols, eps))  # fmt: skip
    total = summed(dtype, x64, residual64, *[bias64] * has_bias)
    value, *_ = norms.norm(total.wanted, about_zero + gamma64, torch.zeros(1), eps, rms=True)
    drawn.say(f"lmdeploy/residual_rms_norm/{norms.SHORT[dtype]}", (x, value), (residual, total), roundings=2 - about_zero)


def draw_layer_sum(dtype, rows, cols):
    has_beta, has_bias = drawn.pick(0, 1), drawn.pick(0, 1)
    eps, (x64, x), (residual64, residual), (gamma64, gamma), (beta64, beta), (bias64, bias) = draw(
        dtype, rows, cols, drawn.pick(0, 0, 1, 10))  # fmt: skip
    launch(f"ResidualBiasLayerNormI{TYPES[dtype]}fLi512ELi8ELb{has_beta}ELb{has_bias}E", rows, x, residual, gamma,
           beta if has_beta else None, bias if has_bias else None, *last(rows, cols, eps))  # fmt: skip
    total = summed(dtype, x64, residual64, *[bias64] * has_bias)
    values = norms.both_values(total.wanted, gamma64, beta64 * has_beta, eps)
    drawn.say(f"lmdeploy/residual_layer_norm/{norms.SHORT[dtype]}", (x, *values), (residual, total))


for dtype in TYPES:
    for shape in drawn.shapes():
        for kernel in (draw_rms, draw_rms_sum, draw_layer, draw_layer_sum):
            kernel(dtype, *shape)
