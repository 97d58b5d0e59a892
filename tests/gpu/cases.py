# SPDX-License-Identifier: Apache-2.0
"""Layer norm and RMS norm as PyTorch's autograd calls them, held against float64 within the bounds of tests/bounds.py;
for check_parts.py, bench.py and torch/drawn.py.
"""

import math
import pathlib
import sys

import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import bounds  # noqa: E402

aten = torch.ops.aten
NAMES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}
HAS_RMS = hasattr(aten, "_fused_rms_norm_backward")  # with its forward on CUDA, since PyTorch 2.9


def acc_dtype(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def random(generator, rows, cols, dtype, skew=0, scale=1.0, offset=0.0):
    """Returns a [rows, cols] tensor that starts `skew` elements behind an aligned address."""
    draw = torch.float64 if dtype == torch.float64 else torch.float32
    flat = torch.randn(rows * cols + skew, generator=generator, dtype=draw, device="cuda").mul_(scale).add_(offset)
    return flat.to(dtype)[skew:].view(rows, cols)


def forward(x, gamma, beta, eps, rms):
    """y, mean (None for RMS norm), rstd."""
    if rms:
        y, rstd = aten._fused_rms_norm(x, [x.shape[1]], gamma, eps)
        return y, None, rstd
    return aten.native_layer_norm(x, [x.shape[1]], gamma, beta, eps)


def backward(dy, x, mean, rstd, gamma, beta, mask, rms):
    """dx, dgamma, dbeta, each None where it is not wanted."""
    if rms:
        return *aten._fused_rms_norm_backward(dy, x, [x.shape[1]], rstd, gamma, mask[:2]), None
    return aten.native_layer_norm_backward(dy, x, [x.shape[1]], mean, rstd, gamma, beta, mask)


def unit(dtype):
    return torch.finfo(dtype).eps / 2


def rounding(x):
    """u and h of sums over its rows; the original's kernels have 128 threads at least."""
    return unit(acc_dtype(x.dtype)), bounds.chain(x.shape[1], 128)


def column_chain(rows):
    """Over a column: the rows of a partial sum in order, then the partial sums in order; no kernel exceeds it."""
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    return rows / min(rows, sms) + min(rows, 1024 * sms) + 8


def wrong(name, got, expected, bound, dtype):
    """Returns what is wrong, or None: every element must be within the bound and one rounding to its type."""
    if got.shape != expected.shape:
        return f"{name}: shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    own = 2 if got.dtype == torch.float64 else 1  # then the reference has the same error
    allowed = bounds.allowed(expected, own * bound, torch.finfo(dtype))
    got = got.double()
    inside = (got - expected).abs() <= allowed
    inside |= (expected.abs() + allowed >= torch.finfo(dtype).max) & ~torch.isfinite(got)  # rounds to infinity
    if bool(inside.all()):
        return None
    worst = int(torch.where(inside, 0.0, ((got - expected).abs() / allowed).nan_to_num(math.inf)).argmax())
    values = [t.expand_as(expected).flatten()[worst].item() for t in (got, expected, allowed)]
    return f"{name}[{worst}]: got {values[0]!r}, expected {values[1]!r} within {values[2]:.3g}"


def bits(tensor):
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()])


def error_of(got, expected):
    """Returns RMS and 99.9th percentile of the error."""
    error = (got.double() - expected).abs().flatten()
    return float((error**2).mean().sqrt()), float(error.kthvalue(max(1, int(error.numel() * 0.999))).values)


def check_forward(x, gamma, beta, eps, rms, got):
    """Returns what is wrong with y, mean and rstd, as lines."""
    dtype, acc, (u, h) = x.dtype, acc_dtype(x.dtype), rounding(x)
    y, mean, rstd = got
    expected = bounds.statistics(x.double(), torch.tensor(eps, dtype=acc).item(), rms, u, h)
    found = [] if rms else [wrong("mean", mean, *expected["mean"], acc)]
    found.append(wrong("rstd", rstd, *expected["rstd"], acc))
    g, b = (value if t is None else t.double() for t, value in ((gamma, 1.0), (beta, 0.0)))
    found.append(wrong("y", y, *bounds.affine(expected["xhat"], g, b, u), dtype))
    return [text for text in found if text]


def check_backward(dy, x, mean, rstd, gamma, rms, got):
    """Returns what is wrong with dx, dgamma and dbeta, as lines."""
    dtype, rows, found, (u, h) = x.dtype, len(x), [], rounding(x)
    dx, dgamma, dbeta = got
    dy, x, rstd = dy.double(), x.double(), rstd.double().view(rows, 1)
    mean = 0.0 if rms else mean.double().view(rows, 1)
    if dx is not None:
        g = 1.0 if gamma is None else gamma.double()
        found.append(wrong("dx", dx, *bounds.dx(dy, x, mean, rstd, g, rms, u, h), dtype))
    h = column_chain(rows) + 4
    if dgamma is not None:
        found.append(wrong("dgamma", dgamma, *bounds.columns(dy * ((x - mean) * rstd), u, h), dtype))
    if dbeta is not None:
        found.append(wrong("dbeta", dbeta, *bounds.columns(dy, u, h), dtype))
    return [text for text in found if text]
