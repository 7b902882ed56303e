"""Packed codes, their exact search by Hamming distance, and retrieval metrics."""

from jhash.retrieval import sharded
from jhash.retrieval.codes import bit_balance, pack_codes, unpack_codes
from jhash.retrieval.hamming import hamming_distances, hamming_topk
from jhash.retrieval.histograms import distance_histograms
from jhash.retrieval.index import HammingIndex
from jhash.retrieval.metrics import (
    average_precision,
    f_measure,
    mean_average_precision,
    precision_at,
    precision_at_recall,
    precision_recall_curve,
    precision_within,
    queries_without_relevant,
    recall_at,
    recall_within,
    summarize,
    top_percent,
)

__all__ = [
    "HammingIndex",
    "average_precision",
    "bit_balance",
    "distance_histograms",
    "f_measure",
    "hamming_distances",
    "hamming_topk",
    "mean_average_precision",
    "pack_codes",
    "precision_at",
    "precision_at_recall",
    "precision_recall_curve",
    "precision_within",
    "queries_without_relevant",
    "recall_at",
    "recall_within",
    "sharded",
    "summarize",
    "top_percent",
    "unpack_codes",
]
