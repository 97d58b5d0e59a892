# SPDX-License-Identifier: Apache-2.0
"""Layer norm and RMS norm as PyTorch's autograd calls them, their float64 references and bounds on their errors; for
check_parts.py and bench.py. The bounds are derived with u, the unit roundoff of the accumulator, U, that of the element
type, and h, the longest chain of roundings in any sum over a row or column: |error of a sum| <= h u sum|terms|.
"""

import math

import torch

aten = torch.ops.aten
UNIT = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float64: 2.0**-53}
SMALLEST = {torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133, torch.float64: 2.0**-1074}
NAMES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}
HAS_RMS = hasattr(aten, "_fused_rms_norm")  # 2.9 and later


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


def chain(n):
    """Over a row: each of at least 128 threads adds up its share, or at most 64 elements where fewer threads share it;
    then a tree with three roundings a level."""
    return min(n, 64) + n / 128 + 3 * (math.log2(n + 1) + 2)


def column_chain(rows):
    """Over a column: the rows of a partial sum in order, then the partial sums in order; no kernel exceeds it."""
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    return rows / min(rows, sms) + min(rows, 1024 * sms) + 8


def wrong(name, got, expected, bound, dtype):
    """Returns what is wrong, or None: every element must be within the bound and one rounding to its type."""
    if got.shape != expected.shape:
        return f"{name}: shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    own = 2 if got.dtype == torch.float64 else 1  # then the reference has the same error
    allowed = own * 1.01 * bound + expected.abs() * UNIT[dtype] * 1.01 + SMALLEST[dtype]
    got = got.double()
    inside = (got - expected).abs() <= allowed
    inside |= (expected.abs() + allowed >= torch.finfo(dtype).max) & ~torch.isfinite(got)  # rounds to infinity
    if bool(inside.all()):
        return None
    worst = int(torch.where(inside, 0.0, ((got - expected).abs() / allowed).nan_to_num(math.inf)).argmax())
    values = [t.expand_as(expected).flatten()[worst].item() for t in (got, expected, allowed)]
    return f"{name}[{worst}]: got {values[0]!r}, expected {values[1]!r} within {values[2]:.3g}"


def statistics(x, eps, rms):
    """Returns mean, variance and rstd in float64, [rows, 1]."""
    mean = torch.zeros_like(x[:, :1]) if rms else x.mean(1, keepdim=True)
    variance = ((x - mean) ** 2).mean(1, keepdim=True)
    return mean, variance, (variance + eps).rsqrt()


def bits(tensor):
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()])


def error_of(got, expected):
    """Returns RMS and 99.9th percentile of the error."""
    error = (got.double() - expected).abs().flatten()
    return float((error**2).mean().sqrt()), float(error.kthvalue(max(1, int(error.numel() * 0.999))).values)


def check_forward(x, gamma, beta, eps, rms, got):
    """Returns what is wrong with y, mean and rstd, as lines."""
    dtype, acc = x.dtype, acc_dtype(x.dtype)
    y, mean, rstd = got
    x, gamma, beta = (None if t is None else t.double() for t in (x, gamma, beta))
    eps = torch.tensor(eps, dtype=acc).item()
    u, h = UNIT[acc], chain(x.shape[1])
    mean_ref, variance, rstd_ref = statistics(x, eps, rms)
    mean_error = 0 * mean_ref if rms else h * u * x.abs().mean(1, keepdim=True)
    # Sum of squared deviations: h roundings of positive terms, each term within 3 u, and the mean's error squared.
    variance_error = (h + 4) * u * variance + 2 * mean_error**2
    rstd_error = rstd_ref * (variance_error / (2 * (variance + eps)) + 3 * u) * 1.1
    found = [] if rms else [wrong("mean", mean, mean_ref, mean_error, acc)]
    found.append(wrong("rstd", rstd, rstd_ref, rstd_error, acc))
    xhat = (x - mean_ref) * rstd_ref
    xhat_error = rstd_ref * mean_error + (x - mean_ref).abs() * rstd_error
    xhat_error += 3 * u * (xhat.abs() + rstd_ref * mean_error)
    g, b = (torch.full_like(x[0], value) if t is None else t for t, value in ((gamma, 1.0), (beta, 0.0)))
    bound = xhat_error * g.abs() + 3 * u * ((g * xhat).abs() + b.abs())
    found.append(wrong("y", y, g * xhat + b, bound, dtype))
    return [text for text in found if text]


def check_backward(dy, x, mean, rstd, gamma, rms, got):
    """Returns what is wrong with dx, dgamma and dbeta, as lines. The errors of mean and rstd, which are inputs, do not
    count."""
    dtype, u = x.dtype, UNIT[acc_dtype(x.dtype)]
    rows, n = x.shape
    dx, dgamma, dbeta = got
    dy, x, rstd = dy.double(), x.double(), rstd.double().view(rows, 1)
    mean = 0.0 if rms else mean.double().view(rows, 1)
    xhat, h, found = (x - mean) * rstd, chain(n), []
    if dx is not None:
        g = dy if gamma is None else dy * gamma.double()
        s1 = 0 * rstd if rms else g.sum(1, keepdim=True)
        s2 = (g * xhat).sum(1, keepdim=True)
        s1_error = 0.0 if rms else (h + 1) * u * g.abs().sum(1, keepdim=True)
        s2_error = (h + 4) * u * (g * xhat).abs().sum(1, keepdim=True)
        magnitude = g.abs() + (xhat.abs() * s2.abs() + s1.abs()) / n
        bound = rstd * (8 * u * magnitude + (xhat.abs() * s2_error + s1_error) / n) * 1.1
        found.append(wrong("dx", dx, rstd * (g - (xhat * s2 + s1) / n), bound, dtype))
    h = column_chain(rows) + 4
    if dgamma is not None:
        terms = dy * xhat
        found.append(wrong("dgamma", dgamma, terms.sum(0), h * u * terms.abs().sum(0), dtype))
    if dbeta is not None:
        found.append(wrong("dbeta", dbeta, dy.sum(0), h * u * dy.abs().sum(0), dtype))
    return [text for text in found if text]
