# SPDX-License-Identifier: Apache-2.0
"""use_ctranslate2_norms.py LIBRARY: CTranslate2's layer norm and RMS norm, launched by name as its library launches them, on
drawn cases (norms.py)."""

import ctypes
import re
import sys

import by_name
import norms
import torch

TYPES = {torch.float32: "f", torch.float16: "6__half", torch.bfloat16: "13__nv_bfloat16"}
BLOCK = 512, 1, 1
drawn, kernels = norms.Drawn(), by_name.Kernels(sys.argv[1])


def name(kernel, dtype):
    (found,) = (name for name in kernels.functions if re.search(f"{kernel}I{TYPES[dtype]}[jE]", name))
    return found


def draw(dtype, rows, cols):
    """x, gamma and beta, each in float64 and on the device; y; eps"""
    scale = drawn.pick(1.0, 1e-3, 20.0)
    x = drawn.values(dtype, rows, cols, scale=scale, offset=scale * drawn.pick(0, 0, 1, 10), skew=drawn.pick(0, 0, 0, 1))
    _, y = drawn.values(dtype, rows, cols, skew=drawn.pick(0, 0, 0, 1))
    return x, drawn.values(dtype, cols), drawn.values(dtype, cols), y, drawn.pick(1e-5, 1e-6, 1e-3)


def draw_layer_norm(dtype, rows, cols):
    (x64, x), (gamma64, gamma), (beta64, beta), y, eps = draw(dtype, rows, cols)
    has_gamma, has_beta = drawn.pick((1, 1), (1, 1), (1, 0), (0, 1), (0, 0))
    arguments = x, gamma if has_gamma else None, beta if has_beta else None, y
    kernels.launch(name("26LayerNormForwardCUDAKernel", dtype), (rows, 1, 1), BLOCK, ctypes.c_uint(cols), ctypes.c_float(eps),
                   *arguments)  # fmt: skip
    terms = x64, gamma64 if has_gamma else torch.ones(cols), beta64 * has_beta, eps
    drawn.say(f"ctranslate2/layer_norm/{norms.SHORT[dtype]}", (y, *norms.both_values(*terms)))


def draw_rms_norm(dtype, rows, cols):
    (x64, x), (gamma64, gamma), _, y, eps = draw(dtype, rows, cols)
    plus_one = drawn.pick(0, 1)
    kernels.launch(name("15rms_norm_kernel", dtype), (rows, 1, 1), BLOCK, x, gamma, y, ctypes.c_uint(cols), ctypes.c_float(eps),
                   ctypes.c_bool(plus_one))  # fmt: skip
    drawn.say(f"ctranslate2/rms_norm/{norms.SHORT[dtype]}",
              (y, norms.norm(x64, gamma64 + plus_one, torch.zeros(1), eps, rms=True)[0]))  # fmt: skip


for dtype in TYPES:
    for shape in drawn.shapes():
        draw_layer_norm(dtype, *shape)
        draw_rms_norm(dtype, *shape)
