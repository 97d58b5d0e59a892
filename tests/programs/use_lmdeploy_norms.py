# SPDX-License-Identifier: Apache-2.0
"""use_lmdeploy_norms.py LIBRARY NAMES: lmdeploy's RMS norms, plain and of a sum in place, on drawn cases (norms.py). The
library stands for lmdeploy's own (registered.c); grids and arguments are lmdeploy's."""

import ctypes
import pathlib
import re
import sys

import norms
import torch

SYMBOLS = pathlib.Path(sys.argv[2]).read_text().split()
TYPES = {torch.float16: "6__half", torch.bfloat16: "13__nv_bfloat16"}
i32, f32 = ctypes.c_int, ctypes.c_float

library, drawn = ctypes.CDLL(sys.argv[1]), norms.Drawn()


def launch(kernel, dtype, about_zero, rows, *arguments):
    (symbol,) = (i for i, s in enumerate(SYMBOLS) if re.search(f"{kernel}ILb{about_zero:d}E{TYPES[dtype]}f", s))
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else ctypes.c_void_p() if a is None else a
              for a in arguments]  # fmt: skip
    addresses, pair = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values)), ctypes.c_uint * 2
    assert library.registered_launch(symbol, pair(rows, 1), pair(512, 1), ctypes.c_size_t(0), addresses) == 0


def last(rows, cols, eps):
    return i32(cols), i32(rows), f32(eps), f32(1 / cols)


def draw_rms(dtype, rows, cols):
    eps, about_zero, stride = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(0, 0, 1), drawn.pick(0, 0, 0, 0, 16)
    x64, x = drawn.values(dtype, rows, cols + stride, scale=drawn.pick(1.0, 1e-3, 20.0))
    gamma64, gamma = drawn.values(dtype, cols)
    y = torch.full((rows, cols), 7.0, dtype=dtype, device="cuda")
    launch("6kernel7RMSNorm", dtype, about_zero, rows, y, i32(cols), x, i32(cols + stride), gamma, *last(rows, cols, eps))
    value, *_ = norms.norm(x64[:, :cols], about_zero + gamma64, torch.zeros(1), eps, rms=True)
    drawn.say(f"lmdeploy/rms_norm/{norms.SHORT[dtype]}", (y, value), roundings=2 - about_zero)


def draw_sum(dtype, rows, cols):
    eps, about_zero, has_bias = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(0, 0, 1), drawn.pick(0, 0, 0, 1)
    scale = drawn.pick(1.0, 1e-3, 20.0)
    (x64, x), (residual64, residual) = (drawn.values(dtype, rows, cols, scale=scale) for _ in range(2))
    (gamma64, gamma), (bias64, bias) = (drawn.values(dtype, cols) for _ in range(2))
    launch("25BiasResidualRMSNormKernel", dtype, about_zero, rows, residual, x, gamma, bias if has_bias else None,
           *last(rows, cols, eps))  # fmt: skip
    exact, total = x64 + residual64 + bias64 * has_bias, residual.cpu().double()
    value, *_ = norms.norm(total, about_zero + gamma64, torch.zeros(1), eps, rms=True)
    magnitude = (x64 + residual64).abs() + exact.abs()  # each addition rounds
    drawn.say(f"lmdeploy/residual_rms_norm/{norms.SHORT[dtype]}", (x, value), (residual, norms.Value(exact, magnitude, 0)),
              roundings=2 - about_zero)  # fmt: skip


for dtype in TYPES:
    for shape in drawn.shapes():
        draw_rms(dtype, *shape)
        draw_sum(dtype, *shape)
