"""Exact search of packed codes by Hamming distance: on the host, on one device, or on several."""

# Imported when it is first used: the host needs no JAX.
from typing import TYPE_CHECKING

from jhash.system import lazy

if TYPE_CHECKING:
    from jhash.retrieval.search import sharded
    from jhash.retrieval.search.hamming import count_within, hamming_distances, hamming_topk, search
    from jhash.retrieval.search.layout import Prepared, prepare, replace

__all__ = [
    "Prepared",
    "count_within",
    "hamming_distances",
    "hamming_topk",
    "prepare",
    "replace",
    "search",
    "sharded",
]

_HOMES = {"layout": ("Prepared", "prepare", "replace"), "sharded": ("sharded",)}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
# All others are of `hamming`.
__getattr__ = lazy.attributes(__name__, {name: _HOME.get(name, "hamming") for name in __all__})
