# SPDX-License-Identifier: Apache-2.0
"""use_ggml_norms.py LIBRARY: ggml's layer norm and RMS norm, launched by name as llama.cpp launches them, on drawn cases
(norms.py), and with two rows a block. Those of 2025 have rows in channels and samples, with strides, and may multiply."""

import ctypes
import re
import sys

import by_name
import norms
import torch

drawn, kernels = norms.Drawn(), by_name.Kernels(sys.argv[1])


def draw(symbol, rows, cols):
    rms, has_eps, made_for = "rms_norm" in symbol, symbol.endswith("if"), re.search(r"ILi(\d+)E", symbol)
    threads, scale = int(made_for[1]) if made_for else 32, drawn.pick(1.0, 1e-3, 20.0)
    block_rows = drawn.pick(1, 1, 1, 2) if threads == 32 and rows % 2 == 0 else 1
    x64, x = drawn.values(torch.float32, rows, cols, scale=scale, offset=scale * drawn.pick(0, 0, 1, 10),
                          skew=drawn.pick(0, 0, 0, 1))  # fmt: skip
    _, y = drawn.values(torch.float32, rows, cols, skew=drawn.pick(0, 0, 0, 1))
    eps = drawn.pick(1e-5, 1e-6, 1e-3) if has_eps else 1e-5
    kernels.launch(symbol, (rows // block_rows, 1, 1), (threads, block_rows, 1), x, y, ctypes.c_int(cols),
                   *[ctypes.c_float(eps)] * has_eps)  # fmt: skip
    values = norms.both_values(x64, torch.ones(1), torch.zeros(1), eps, rms)
    drawn.say(f"ggml/{'rms_norm' if rms else 'norm'}/f32", (y, *values))


def draw_strided(symbol, rows, cols):
    """Rows of 1 to 3 channels and 1 or 2 samples. Some have strides, or gammas of another shape, that no packed tensor has."""
    rms, threads, scale = "rms_norm" in symbol, int(re.search(r"ILi(\d+)E", symbol)[1]), drawn.pick(1.0, 1e-3, 20.0)
    multiplies, has_mul = "ELb1E" in symbol, "ELb" in symbol
    samples, channels, skew = drawn.pick(1, 1, 2), drawn.pick(1, 1, 3), drawn.pick(0, 0, 0, 1)
    rows = max(1, rows // (samples * channels))
    gap = drawn.pick((0, 0), (0, 0), (0, 0), (16, 0), (0, 16))  # behind each row, each channel
    offset, eps = drawn.pick(0, 0, 1, 10), drawn.pick(1e-5, 1e-6, 1e-3)
    plane = rows * (cols + gap[0]) + gap[1]
    x64, x = drawn.values(torch.float32, samples * channels, plane, scale=scale, offset=scale * offset, skew=skew)
    x64 = x64[:, : rows * (cols + gap[0])].reshape(-1, cols + gap[0])[:, :cols]
    _, y = drawn.values(torch.float32, len(x64), cols, skew=drawn.pick(0, 0, 0, 1))
    gammas = drawn.pick(1, 1, 1, rows) if multiplies else 1
    gamma64, gamma = drawn.values(torch.float32, gammas, cols)
    mul = [gamma, *map(ctypes.c_int64, (cols, gammas * cols, gammas * cols)), *map(ctypes.c_int, (cols, gammas, 1, 1))]
    none = [None, *[ctypes.c_int64()] * 3, *[ctypes.c_int()] * 4]
    strides = map(ctypes.c_int64, (cols + gap[0], plane, plane * channels))
    kernels.launch(symbol, (rows, channels, samples), (threads, 1, 1), x, y, ctypes.c_int(cols), *strides, ctypes.c_float(eps),
                   *(mul if multiplies else none) * has_mul)  # fmt: skip
    gamma64 = gamma64.repeat(samples * channels * rows // gammas, 1) if multiplies else torch.ones(1)
    kernel = "norm" if not rms else "rms_norm_mul" if multiplies else "rms_norm"
    drawn.say(f"ggml/{kernel}/f32", (y, *norms.both_values(x64, gamma64, torch.zeros(1), eps, rms)))


for symbol in kernels.functions:
    if "8norm_f32" in symbol or "12rms_norm_f32" in symbol:
        for shape in drawn.shapes():
            (draw_strided if "Pfilll" in symbol else draw)(symbol, *shape)
