"""Losses as pure jitted functions, one family per file.

Arrays come first, hyperparameters are keywords. Most functions return one value per sample or per
pair, and the caller sums or averages. The package imports nothing else of jhash.
"""

from jhash.losses import asymmetric, graph, multi_label, pairwise, quantization

__all__ = ["asymmetric", "graph", "multi_label", "pairwise", "quantization"]
