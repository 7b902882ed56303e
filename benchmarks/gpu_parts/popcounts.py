"""A loop that only computes Hamming distances of codes of 64 bits: what bounds any search."""

import jax.numpy as jnp
import numpy as np
from jax import lax

_MEMBERS, _WORDS = 64, 2


def codes(rows, queries):
    """Draws the arguments of `add_up`: `rows` codes in groups of 64, and `queries` codes."""
    rng = np.random.default_rng(0)
    shapes = (rows // _MEMBERS, _MEMBERS, _WORDS), (queries, _WORDS)
    return [jnp.asarray(rng.integers(0, 1 << 32, shape, dtype=np.uint32)) for shape in shapes]


def add_up(codes, queries):
    """Adds the distances of each query to the codes of each group."""
    total = 0
    for member in range(_MEMBERS):
        for word in range(_WORDS):
            total += lax.population_count(codes[:, member, word, None] ^ queries[:, word])
    return total
