"""Trainable layers that a method puts behind any model; see `head` in `jhash.methods`."""

from typing import Any

import jax
from flax import linen as nn

from jhash.models.heads import straight_through
from jhash.models.heads.class_outputs import ClassOutputs
from jhash.models.heads.divide_and_encode import DivideAndEncode
from jhash.models.heads.hash_classifier import HashClassifier
from jhash.models.heads.hash_norm import HashNorm
from jhash.models.heads.proxies import Proxies
from jhash.models.heads.twin_bottleneck import TwinBottleneck

__all__ = [
    "ClassOutputs",
    "DivideAndEncode",
    "HashClassifier",
    "HashNorm",
    "Proxies",
    "TwinBottleneck",
    "WithHead",
    "straight_through",
]


class WithHead(nn.Module):
    """A model with a head behind it.

    Attributes:
      model: A model as `jhash.models.build` makes it.
      head: A flax module that is called as `head(outputs, train)` and returns a dict.
    """

    model: nn.Module
    head: nn.Module

    def __call__(self, x: jax.Array, train: bool) -> dict[str, Any]:
        """Maps images float32 [B, H, W, C] to the head's outputs, a dict of arrays [B, ...]."""
        return self.head(self.model(x, train), train)
