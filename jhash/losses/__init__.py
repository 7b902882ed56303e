"""Losses as pure jitted functions, one family a file: arrays first, hyperparameters by keyword.

They return one value per sample or per pair (the caller sums or averages) and import nothing else
of jhash.
"""

from jhash.losses import asymmetric, graph, multi_label, pairwise, quantization

__all__ = ["asymmetric", "graph", "multi_label", "pairwise", "quantization"]
