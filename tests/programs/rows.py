# SPDX-License-Identifier: Apache-2.0
"""How the Python programs of this folder print the error of the rows that they normalised; the bound is that of rows.h."""

import numpy as np


def print_error(x, y):
    """The largest error of y, the layer norm of x without parameters, as a share of its bound."""
    x = x.astype(np.float64)
    mean, rstd = x.mean(1, keepdims=True), 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    want = (x - mean) * rstd
    print((abs(y - want) / (4 * 2.0**-24 * (abs(want) + abs(x).mean(1, keepdims=True) * rstd))).max())
