"""Losses as pure jitted functions, one family a file: arrays first, hyperparameters by keyword.

They return one value a sample or a pair (the caller sums or averages) and import nothing else of
jhash.
"""

from jhash.losses import asymmetric, pairwise, quantization

__all__ = ["asymmetric", "pairwise", "quantization"]
