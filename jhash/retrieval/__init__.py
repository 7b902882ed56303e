"""Packed codes, their exact search by Hamming distance, an index of them, and metrics."""

# What a name leads to is imported when it is first used: an index can be read without JAX.
from typing import TYPE_CHECKING

from jhash.system import lazy

if TYPE_CHECKING:
    from jhash.retrieval import export, index, metrics, search
    from jhash.retrieval.codes import bit_balance, pack_codes, unpack_codes
    from jhash.retrieval.index import HammingIndex
    from jhash.retrieval.metrics import (
        average_precision,
        category_histograms,
        category_mean,
        count_lost_bits,
        distance_histograms,
        f_measure,
        mean_average_precision,
        neighbors_kept,
        neighbors_shared,
        precision_at,
        precision_at_recall,
        precision_recall_curve,
        precision_within,
        queries_without_relevant,
        recall_at,
        recall_within,
        relevant_at,
        summarize,
        summarize_within_categories,
        top_percent,
    )
    from jhash.retrieval.search import hamming_distances, hamming_topk

__all__ = [
    "HammingIndex",
    "average_precision",
    "bit_balance",
    "category_histograms",
    "category_mean",
    "count_lost_bits",
    "distance_histograms",
    "export",
    "f_measure",
    "hamming_distances",
    "hamming_topk",
    "index",
    "mean_average_precision",
    "metrics",
    "neighbors_kept",
    "neighbors_shared",
    "pack_codes",
    "precision_at",
    "precision_at_recall",
    "precision_recall_curve",
    "precision_within",
    "queries_without_relevant",
    "recall_at",
    "recall_within",
    "relevant_at",
    "search",
    "summarize",
    "summarize_within_categories",
    "top_percent",
    "unpack_codes",
]

_HOMES = {
    "codes": ("bit_balance", "pack_codes", "unpack_codes"),
    "export": ("export",),
    "index": ("HammingIndex", "index"),
    "search": ("hamming_distances", "hamming_topk", "search"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
# All others are metrics.
__getattr__ = lazy.attributes(__name__, {name: _HOME.get(name, "metrics") for name in __all__})
