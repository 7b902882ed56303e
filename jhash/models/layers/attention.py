"""CBAM, the convolutional block attention module (Woo et al. 2018)."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jhash.errors import InputError
from jhash.models.layers import convolutions


class ChannelAttention(nn.Module):
    """A weight in (0, 1) for each channel, from its average and its maximum over the image.

    sigmoid(MLP(average) + MLP(maximum)), with one MLP of C / reduction hidden units for both.

    Attributes:
      reduction: C divided by the hidden units.

    Source: CBAM eq. 2.
    """

    reduction: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> x times its channels' weights, [B, H, W, C].

        Raises:
          InputError: `reduction` leaves no hidden unit.
        """
        channels = x.shape[-1]
        if not 1 <= self.reduction <= channels:
            raise InputError(
                f"reduction: {self.reduction} given for {channels} channels; allowed are 1 to "
                f"{channels}."
            )
        hidden = nn.Dense(channels // self.reduction, name="hidden")
        output = nn.Dense(channels, name="output")
        # Not stacked: XLA's CPU backend would sum their common gradient in a slow order.
        mean, largest = (output(nn.relu(hidden(pooled))) for pooled in mean_and_max(x, (1, 2)))
        weights = nn.sigmoid(mean + largest)
        return x * weights[:, None, None]


class SpatialAttention(nn.Module):
    """A weight in (0, 1) for each pixel, from the average and the maximum of its channels.

    sigmoid(conv7x7([average; maximum])), without a bias. The kernel starts as zeros (the papers do
    not say how): every weight is then 1/2, which a BatchNorm takes away, and attention begins as
    none. From random kernels AIHN with 48 bits ended 0.9 points of MAP lower (one seed).

    The kernel is the parameter divided by the root of its 98 inputs: the same functions, but steps
    that are as large for every parameter, such as Adam's, move a sum of 98 alike inputs only a
    tenth as far. Without it attention closed for three of five images in AIHN's last block, and
    four epochs at 48 bits gave MAP 0.849 in place of 0.854 (none: 0.853; one seed).

    Source: CBAM eq. 3; AIHN eq. 6; the division is that of Karras et al. 2018, section 4.1.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> x times its pixels' weights, [B, H, W, C]."""
        pooled = jnp.stack(mean_and_max(x, (3,)), axis=-1)
        kernel = self.param("conv_scaled", nn.initializers.zeros, (7, 7, 2, 1))
        kernel = kernel[..., 0] / math.sqrt(kernel.size)
        weights = nn.sigmoid(convolutions.conv_to_one(pooled, kernel))
        return x * weights[..., None]


class CBAM(nn.Module):
    """Channel attention, then spatial attention.

    Attributes:
      reduction: Of the channel attention. DAH gives none; 16 is the CBAM paper's.
    """

    reduction: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, C]."""
        x = ChannelAttention(self.reduction, name="channel")(x)
        return SpatialAttention(name="spatial")(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_and_max(x, axes):
    """The mean and the maximum of an array over some axes.

    As JAX has them, gradient included (equal maxima share it); but JAX stores a mask as large as
    `x` for the gradient of each maximum.
    """
    return x.mean(axes), x.max(axes)


def _mean_and_max_forward(x, axes):
    x = _stored(x)
    mean, largest = mean_and_max(x, axes)
    return (mean, largest), (x, largest)


def _mean_and_max_backward(axes, saved, gradients):
    x, largest = saved
    from_mean, from_largest = (jnp.expand_dims(g, axes) for g in gradients)
    is_largest = x == jnp.expand_dims(largest, axes)
    ties = is_largest.astype(x.dtype).sum(axes, keepdims=True)
    # Under vmap, where `_stored` stores nothing, no value may equal the maximum.
    share = from_largest / jnp.maximum(ties, 1)
    count = math.prod(x.shape[axis] for axis in axes)
    return (jnp.where(is_largest, share, 0) + from_mean / count,)


mean_and_max.defvjp(_mean_and_max_forward, _mean_and_max_backward)


def _stored(x):
    """`x` from memory: computed anew and rounded otherwise, no value might equal the maximum.

    XLA's CPU backend computes the cheap producers of a value again for each of its readers, and
    drops optimization barriers before; the result of a conditional is stored.
    """
    if jax.default_backend() != "cpu":
        return lax.optimization_barrier(x)
    first = x.ravel()[0]
    return lax.cond(first == first, lambda x: x, lambda x: jnp.full_like(x, jnp.nan), x)
