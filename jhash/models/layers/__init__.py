"""Layers and functions that several models share."""

from jhash.models.layers.activations import shrink_sigmoid
from jhash.models.layers.attention import CBAM, ChannelAttention, SpatialAttention
from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.layers.bottleneck import Bottleneck
from jhash.models.layers.normalization import local_response_norm
from jhash.models.layers.pixels import depth_to_space, space_to_depth
from jhash.models.layers.stems import choose_stem
from jhash.models.layers.transformer import EncoderBlock

__all__ = [
    "CBAM",
    "BatchNorm",
    "Bottleneck",
    "ChannelAttention",
    "EncoderBlock",
    "SpatialAttention",
    "choose_stem",
    "depth_to_space",
    "local_response_norm",
    "shrink_sigmoid",
    "space_to_depth",
]
