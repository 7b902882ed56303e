"""Pallas kernel for the smallest distance within each group, the costly step of `hamming`.

It is not used by a search: no GPU or TPU has measured it. `benchmarks/gpu.py` compares it with
XLA's form, `hamming._minima`, whose results it has. Each program of the grid has a block of groups
and a block of queries, and keeps their minima in registers while it goes through the members. JAX
0.12 has deprecated Triton, the backend that the kernel has on GPUs.

Shapes in names: G groups, M members of a group, W words of a code, Q queries.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jhash.retrieval.limits import WORD_BITS

# Groups and queries of a block: what a TPU takes in its last two dimensions.
_BLOCK = 128


def minima(
    codes_GxMxW: jax.Array, dead_G: jax.Array, queries_QxW: jax.Array, interpret: bool = False
) -> jax.Array:
    """Computes the smallest distance of each query within each group.

    Args:
      codes_GxMxW: Packed codes, uint32. M and W are small, as the loops over them are unrolled.
      dead_G: bool, the groups without a live code, whose minimum is one more than two codes can
        differ by.
      queries_QxW: Packed queries, uint32.
      interpret: Whether the kernel is interpreted, for tests on a CPU.

    Returns:
      int32 [G, Q].
    """
    groups, members, words = codes_GxMxW.shape
    queries = len(queries_QxW)
    pad_G, pad_Q = -groups % _BLOCK, -queries % _BLOCK
    # Member and word come first, so that each pair of them is a vector over the groups.
    codes_MWxG = codes_GxMxW.reshape(groups, members * words).T
    codes_MWxG = jnp.pad(codes_MWxG, ((0, 0), (0, pad_G)))
    queries_WxQ = jnp.pad(queries_QxW.T, ((0, 0), (0, pad_Q)))
    call = functools.partial(
        pl.pallas_call,
        functools.partial(_kernel, members=members, words=words),
        out_shape=jax.ShapeDtypeStruct((groups + pad_G, queries + pad_Q), jnp.int32),
        grid=((groups + pad_G) // _BLOCK, (queries + pad_Q) // _BLOCK),
        in_specs=[
            pl.BlockSpec((members * words, _BLOCK), lambda i, j: (0, i)),
            pl.BlockSpec((words, _BLOCK), lambda i, j: (0, j)),
        ],
        out_specs=pl.BlockSpec((_BLOCK, _BLOCK), lambda i, j: (i, j)),
    )
    if interpret:
        min_GxQ = call(interpret=True)(codes_MWxG, queries_WxQ)
    else:
        # On GPUs Pallas has two backends, of which Triton takes the sums over two axes.
        min_GxQ = lax.platform_dependent(
            codes_MWxG,
            queries_WxQ,
            tpu=call(),
            default=call(compiler_params=triton.CompilerParams(num_warps=8)),
        )
    return jnp.where(dead_G[:, None], words * WORD_BITS + 1, min_GxQ[:groups, :queries])


def _kernel(codes_ref, queries_ref, out_ref, *, members, words):
    smallest: Any = None
    for member in range(members):
        distance: Any = 0
        for word in range(words):
            codes_G = codes_ref[member * words + word, :]
            queries_Q = queries_ref[word, :]
            differ_GxQ = codes_G[:, None] ^ queries_Q[None, :]
            distance += lax.population_count(differ_GxQ).astype(jnp.int32)
        smallest = distance if smallest is None else jnp.minimum(smallest, distance)
    out_ref[:, :] = smallest
