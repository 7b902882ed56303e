"""Retrieval metrics from histograms of distances, and counts of the bits that add nothing."""

from jhash.retrieval.metrics.categories import category_histograms, category_mean
from jhash.retrieval.metrics.collapse import count_lost_bits
from jhash.retrieval.metrics.histograms import distance_histograms
from jhash.retrieval.metrics.lookup import (
    f_measure,
    precision_recall_curve,
    precision_within,
    recall_within,
)
from jhash.retrieval.metrics.neighbors import neighbors_kept, neighbors_shared
from jhash.retrieval.metrics.ranking import (
    average_precision,
    mean_average_precision,
    precision_at,
    precision_at_recall,
    recall_at,
    relevant_at,
    top_percent,
)
from jhash.retrieval.metrics.summary import (
    queries_without_relevant,
    summarize,
    summarize_within_categories,
)

__all__ = [
    "average_precision",
    "category_histograms",
    "category_mean",
    "count_lost_bits",
    "distance_histograms",
    "f_measure",
    "mean_average_precision",
    "neighbors_kept",
    "neighbors_shared",
    "precision_at",
    "precision_at_recall",
    "precision_recall_curve",
    "precision_within",
    "queries_without_relevant",
    "recall_at",
    "recall_within",
    "relevant_at",
    "summarize",
    "summarize_within_categories",
    "top_percent",
]
