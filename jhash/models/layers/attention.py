"""CBAM, the convolutional block attention module (Woo et al. 2018)."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jhash import forms
from jhash.errors import InputError
from jhash.models.layers import convolutions

# What the kernel of spatial attention may be; see `SpatialAttention`.
KERNELS = ("scaled", "zeros", "random")


class ChannelAttention(nn.Module):
    """Weights each channel by its average and its maximum over the image.

    The weight, in (0, 1), is sigmoid(MLP(average) + MLP(maximum)). Both share one MLP, which has a
    hidden layer of C / reduction units, rounded down.

    Attributes:
      reduction: Quotient of the channels and the hidden units.

    References:
      CBAM (Woo et al. 2018), eq. 2.
    """

    reduction: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiplies each channel of an image with its weight.

        Args:
          x: float [B, H, W, C].

        Returns:
          float [B, H, W, C].

        Raises:
          InputError: `reduction` leaves no hidden unit.
        """
        channels = x.shape[-1]
        if not 1 <= self.reduction <= channels:
            raise InputError(
                f"reduction: {self.reduction} given; allowed: 1 to {channels}, the number of "
                "channels."
            )
        hidden = nn.Dense(channels // self.reduction, name="hidden")
        output = nn.Dense(channels, name="output")
        # Not stacked into one array: XLA's CPU backend would sum their common gradient in a slow
        # order.
        mean_BxC, max_BxC = (output(nn.relu(hidden(pooled))) for pooled in mean_and_max(x, (1, 2)))
        weights_BxC = nn.sigmoid(mean_BxC + max_BxC)
        return x * weights_BxC[:, None, None]


class SpatialAttention(nn.Module):
    """Weights each pixel by the average and the maximum of its channels.

    The weight, in (0, 1), is sigmoid(conv7x7([average; maximum])), without a bias.

    The kernel starts as zeros; the papers do not say how it starts. Every weight is then 1/2, a
    factor that the next BatchNorm takes away, so that the model begins as it would without
    attention. From random kernels AIHN with 48 bits ended 0.9 points of MAP lower (one seed).

    The kernel is the parameter divided by the square root of its 98 inputs. The same functions can
    be learned, but an optimizer such as Adam, whose steps are equally large for every parameter,
    moves a sum of 98 similar inputs only a tenth as far. Without the division four epochs of AIHN
    with 48 bits gave MAP 0.849 in place of 0.854 (without attention: 0.853; one seed).

    Attributes:
      kernel: "scaled" as described; or the parameter itself, which starts as "zeros" or at "random"
        as PyTorch's convolutions do. The other two are there for comparison.

    References:
      CBAM (Woo et al. 2018), eq. 3; AIHN (Li et al. 2020), eq. 6. The division is that of Karras et
      al. 2018, section 4.1.
    """

    kernel: str = "scaled"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiplies each pixel of float [B, H, W, C] with its weight; the shape stays."""
        pooled_BxHxWx2 = jnp.stack(mean_and_max(x, (3,)), axis=-1)
        kernel_7x7x2 = self._kernel_7x7x2x1()[..., 0]
        weights_BxHxW = nn.sigmoid(convolutions.conv_to_one(pooled_BxHxWx2, kernel_7x7x2))
        return x * weights_BxHxW[..., None]

    def _kernel_7x7x2x1(self):
        shape = (7, 7, 2, 1)
        if self.kernel == "scaled":
            zeros = self.param("conv_scaled", nn.initializers.zeros, shape)
            return zeros / math.sqrt(math.prod(shape))
        if self.kernel == "zeros":
            return self.param("conv", nn.initializers.zeros, shape)
        initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        return self.param("conv", initializer, shape)


class CBAM(nn.Module):
    """Channel attention, then spatial attention.

    Attributes:
      reduction: Quotient of the channels and the hidden units of the channel attention. DAH does
        not give it; 16 is the CBAM paper's.

    References:
      CBAM (Woo et al. 2018), eq. 1.
    """

    reduction: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Weights the channels, then the pixels of float [B, H, W, C]; the shape stays."""
        x = ChannelAttention(self.reduction, name="channel")(x)
        return SpatialAttention(name="spatial")(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_and_max(x, axes):
    """Computes the mean and the maximum of an array over some axes.

    Values and gradients are those of `jnp.mean` and `jnp.max`; equal maxima share the gradient. JAX
    would store a mask as large as the array for the gradient of each maximum, and this does not.

    Args:
      x: float array.
      axes: Tuple of the axes to reduce.

    Returns:
      (mean, maximum), without those axes.
    """
    return x.mean(axes), x.max(axes)


def _mean_and_max_forward(x, axes):
    x = _stored(x)
    mean, maximum = mean_and_max(x, axes)
    return (mean, maximum), (x, maximum)


def _mean_and_max_backward(axes, saved, gradients):
    x, maximum = saved
    mean_gradient, max_gradient = (jnp.expand_dims(gradient, axes) for gradient in gradients)
    is_max = x == jnp.expand_dims(maximum, axes)
    ties = is_max.astype(x.dtype).sum(axes, keepdims=True)
    # There may be none: under vmap `_stored` stores nothing, and no value need equal the maximum.
    share = max_gradient / jnp.maximum(ties, 1)
    count = math.prod(x.shape[axis] for axis in axes)
    return (jnp.where(is_max, share, 0) + mean_gradient / count,)


mean_and_max.defvjp(_mean_and_max_forward, _mean_and_max_backward)


def _stored(x):
    """Returns `x` as a value that XLA keeps in memory.

    Otherwise XLA might compute `x` again for the gradient and round it differently, so that no
    value would equal the maximum. XLA's CPU backend computes cheap values again for each of their
    readers, and it drops optimization barriers before that. It stores the result of a conditional.
    """
    if not forms.for_cpu():
        return lax.optimization_barrier(x)
    # The condition holds for all numbers, and XLA does not know it.
    value = x.ravel()[0]
    return lax.cond(value == value, lambda x: x, lambda x: jnp.full_like(x, jnp.nan), x)
