"""Losses as pure jitted functions, one family per file.

Arrays come first, hyperparameters are keywords. Most functions return one value per sample or per
pair, and the caller sums or averages. The package imports `forms` and nothing else of jhash.
"""

from jhash.losses import (
    asymmetric,
    centers,
    classification,
    contrastive,
    distance_histogram,
    graph,
    multi_label,
    pairwise,
    proxy,
    quantization,
    triplet,
)

__all__ = [
    "asymmetric",
    "centers",
    "classification",
    "contrastive",
    "distance_histogram",
    "graph",
    "multi_label",
    "pairwise",
    "proxy",
    "quantization",
    "triplet",
]
