"""Exact search of packed codes by Hamming distance, on one device or sharded over several."""

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
