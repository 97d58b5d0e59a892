# SPDX-License-Identifier: Apache-2.0
"""How far a layer norm or RMS norm may be from the exact one, for all tests that hold results against wider arithmetic:
numpy's arrays or PyTorch's tensors, with rows along the last dimension.

The bounds are derived with u, the unit roundoff of the accumulator, and h, the longest chain of roundings in any sum
over a row or column: |error of a sum| <= h u sum|terms|."""
import math


def chain(n, threads=256):
    """Over a row of n elements: each of so many threads adds up its share, or at most 64 elements where fewer share the
    row; then a tree with three roundings a level."""
    return min(n, 64) + n / threads + 3 * (math.log2(n + 1) + 2)


def statistics(x, eps, rms, u, h, one_pass=False):
    """{name: (value, its error)} of mean, rstd and xhat. one_pass: the variance is E[x^2] - E[x]^2."""
    mean = 0 * x[..., :1] if rms else x.mean(-1, keepdims=True)
    mean_error = 0 * mean if rms else h * u * abs(x).mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    # Sum of squared deviations: h roundings of positive terms, each term within 3 u, and the mean's error squared.
    variance_error = (h + 4) * u * variance + 2 * mean_error**2
    if one_pass:  # the errors of both squares stay when their difference is small
        variance_error = variance_error + (h + 2) * u * (x**2).mean(-1, keepdims=True) + 2 * abs(mean) * mean_error
    rstd = 1 / (variance + eps) ** 0.5
    rstd_error = rstd * (variance_error / (2 * (variance + eps)) + 3 * u) * 1.1
    xhat = (x - mean) * rstd
    xhat_error = rstd * mean_error + abs(x - mean) * rstd_error + 3 * u * (abs(xhat) + rstd * mean_error)
    return {"mean": (mean, mean_error), "rstd": (rstd, rstd_error), "xhat": (xhat, xhat_error)}


def affine(xhat, gamma, beta, u):
    """(y, its error), of xhat with its error."""
    xhat, error = xhat
    return gamma * xhat + beta, abs(gamma) * error + 3 * u * (abs(gamma * xhat) + abs(beta))


def dx(dy, x, mean, rstd, gamma, rms, u, h):
    """(dX, its error). The errors of mean and rstd, which are inputs, do not count."""
    xhat, g, n = (x - mean) * rstd, dy * gamma, x.shape[-1]
    s1 = 0 * rstd if rms else g.sum(-1, keepdims=True)
    s2 = (g * xhat).sum(-1, keepdims=True)
    s1_error = 0 * rstd if rms else (h + 1) * u * abs(g).sum(-1, keepdims=True)
    s2_error = (h + 4) * u * abs(g * xhat).sum(-1, keepdims=True)
    magnitude = abs(g) + (abs(xhat * s2) + abs(s1)) / n
    error = rstd * (8 * u * magnitude + (abs(xhat) * s2_error + s1_error) / n) * 1.1
    return rstd * (g - (xhat * s2 + s1) / n), error


def columns(terms, u, h):
    """(sums over all rows, their error): of dY for beta's gradient, of dY xhat for gamma's."""
    return terms.sum(0), h * u * abs(terms).sum(0)


def allowed(wanted, error, finfo):
    """How far a result may be from this value with this error, once it is rounded to its type."""
    return 1.01 * (error + abs(wanted) * (float(finfo.eps) / 2)) + float(finfo.tiny) * float(finfo.eps)
