# SPDX-License-Identifier: Apache-2.0
"""A layer norm and its gradient by JAX, whose compiler makes the kernels, and a matrix product by cuBLAS."""

import jax
import jax.numpy as jnp


def norm(x, gamma):
    mean = x.mean(-1, keepdims=True)
    return ((x - mean) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * gamma).sum() + (x @ x.T).trace()


x = jnp.arange(5.0 * 768).reshape(5, 768) % 17
print(jax.devices()[0].platform, *map(float, jax.jit(jax.value_and_grad(norm))(x, jnp.ones(768))[1][0][:4]))
