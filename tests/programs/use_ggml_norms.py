# SPDX-License-Identifier: Apache-2.0
"""use_ggml_norms.py LIBRARY: ggml's layer norm and RMS norm, launched by name as llama.cpp launches them, on drawn cases
(norms.py), and with two rows a block."""

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
    value, original = (norms.norm(x64, torch.ones(1), torch.zeros(1), eps, rms, one_pass and not rms)[0]
                       for one_pass in (False, True))  # fmt: skip
    drawn.say(f"ggml/{'rms_norm' if rms else 'norm'}/f32", (y, value, original))


for symbol in kernels.functions:
    if "8norm_f32" in symbol or "12rms_norm_f32" in symbol:
        for shape in drawn.shapes():
            draw(symbol, *shape)
