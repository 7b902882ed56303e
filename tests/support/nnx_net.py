"""A network of flax.nnx behind the line of docs/extend.md."""

import flax.linen as nn
from flax import nnx


class Layers(nnx.Module):
    """Two layers, without a state besides their parameters."""

    def __init__(self, bits, rngs):
        self.hidden = nnx.Linear(64, 16, rngs=rngs)
        self.codes = nnx.Linear(16, bits, rngs=rngs)

    def __call__(self, images):
        return self.codes(nnx.relu(self.hidden(images.reshape(len(images), -1))))


class Net(nn.Module):
    """The linen module that a config names."""

    bits: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, train=False):
        del train
        return nnx.bridge.to_linen(Layers, self.bits)(images)
