"""The minima of groups, the costly step of a search: XLA's form and the Pallas kernel.

`retrieval.search.pallas_minima` is not used by a search until a row here says that it pays.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gpu_parts import timing
from jhash.retrieval.search import hamming, pallas_minima

# Words of a code, rows of a group, and queries of a tile.
WORDS, MEMBERS, QUERIES = 2, 32, 128


def rows(quick):
    """Yields one row per size, once the results of both are equal."""
    interpret = jax.default_backend() == "cpu"
    pallas = jax.jit(functools.partial(pallas_minima.minima, interpret=interpret))
    xla = jax.jit(hamming._minima)
    for n in (2048,) if quick else (1 << 20, 1 << 23):
        rng = np.random.default_rng(0)
        codes = rng.integers(0, 1 << 32, (n // MEMBERS, MEMBERS, WORDS), dtype=np.uint32)
        queries = rng.integers(0, 1 << 32, (QUERIES, WORDS), dtype=np.uint32)
        codes, dead, queries = map(jnp.asarray, (codes, rng.random(len(codes)) < 0.1, queries))
        ours = (pallas, codes, dead, queries)
        theirs = (xla, codes[..., None], dead[:, None], queries)
        found, expected = (np.asarray(call(*arguments)) for call, *arguments in (ours, theirs))
        np.testing.assert_array_equal(found, expected[:, 0])
        seconds = timing.seconds([_side(*theirs), _side(*ours)], turn=0.01 if quick else 0.5)
        yield {
            "table": "minima",
            "codes": n,
            "queries": QUERIES,
            "rows_of_a_group": MEMBERS,
            "xla_ms": round(1e3 * seconds[0], 3),
            "pallas_ms": round(1e3 * seconds[1], 3),
            "pallas_interpreted": interpret,
        }


def _side(function, *arguments):
    last = None

    def call():
        nonlocal last
        last = function(*arguments)

    return call, lambda: jax.block_until_ready(last)
