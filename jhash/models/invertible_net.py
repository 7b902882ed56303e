"""AIHN's model: i-RevNet with spatial attention, and a hash layer."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError
from jhash.models.layers import convolutions, coupling
from jhash.models.layers.attention import KERNELS
from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.layers.bottleneck import BOTTLENECKS, Bottleneck
from jhash.models.layers.pixels import depth_to_space, space_to_depth

ATTENTIONS = ("spatial", "none")


class InvertibleNet(nn.Module):
    """The attention-aware invertible model, with any depth, width and size of images.

    An image passes through the invertible downsampling psi; the channels are split into two halves;
    stages of invertible blocks follow, each of which begins with another psi. That is the trunk,
    whose output `inverse` turns into the image again. Only what follows loses information:
    BatchNorm, ReLU, global average pooling and the hash layer. `coupling` says how blocks are run;
    F is the function inside of a block, see `Bottleneck`.

    With kernels (3, 3, 3), no attention and 1000 outputs this is the published bijective i-RevNet:
    125,120,356 parameters at 224 x 224 x 3. The paper counts its downsamplings at the beginning and
    at the depths 6, 22 and 94. From 112 to 7 pixels takes four, so block 0 downsamples, too.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      stages: Number of blocks of each stage.
      kernels: Sides of F's three kernels, odd: (1, 3, 1) is AIHN's, (3, 3, 3) i-RevNet's.
      attention: "spatial", or "none" (AIHN-A).
      width: Channels of F's narrow convolutions, as a multiple of a quarter of its output channels.
      lattice: With an integer s, values are multiples of 2^-s below 2^(24 - s), and the inverse is
        exact. With None, values are plain floats.
      gradient: How differentiation gets the activations. "reversible" computes them again by the
        inverse, in memory that does not grow with the depth; "plain" stores all of them;
        "checkpoint" stores those between blocks.
      dtype: Type of the factors in F's convolutions, "float32" or "bfloat16".
      bottleneck: The inner convolutions of F that are narrow: "both", as in i-RevNet's published
        code (26.3 million parameters with 48 bits at 224 x 224 x 3), or the "second" alone, as the
        paper says (85.7 million). See docs/reproduce/aihn.md for the choice.
      attention_kernel: The kernel of spatial attention: "scaled", or "zeros" or "random", to
        compare with; see `layers.attention.SpatialAttention`.

    References:
      AIHN (Li et al. 2020), section 3; i-RevNet (Jacobsen et al. 2018).
    """

    bits: int
    axis_name: str | None = None
    stages: Sequence[int] = (6, 16, 72, 6)
    kernels: Sequence[int] = (1, 3, 1)
    attention: str = "spatial"
    width: float = 1.0
    lattice: int | None = None
    gradient: str = "reversible"
    dtype: Any = "float32"
    bottleneck: str = "both"
    attention_kernel: str = "scaled"

    def setup(self):
        """Makes the layers after the trunk; the trunk takes its shapes from the images."""
        self.norm = BatchNorm(True, self.axis_name, momentum=0.9)
        self.hash = nn.Dense(self.bits)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float [B, H, W, C], H and W divisible by 2^(1 + number of stages).
          train: Whether BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          [B, bits]; NaN for an image whose values left the lattice's range.

        Raises:
          InputError: A field is not allowed, or the images' sides do not suit the stages.
        """
        features = self.features(x, train)
        x = self.norm(features, train)
        outputs = self.hash(x.mean((1, 2)))
        if self.lattice is None:
            return outputs
        # NaN in the features need not reach the outputs: compiled for a CPU, a ReLU may take it for
        # any number. So the features are tested.
        inside = jnp.isfinite(features).all((1, 2, 3))
        return jnp.where(inside[:, None], outputs, jnp.nan)

    def features(self, x: jax.Array, train: bool) -> jax.Array:
        """Computes the trunk's output, which holds all of the image.

        Args:
          x: Images, as for `__call__`.
          train: Whether BatchNorm takes the batch's statistics, as for `__call__`.

        Returns:
          [B, h, w, C (H W) / (h w)], where h is H and w is W divided by 2^(1 + number of stages).
          With `lattice` there is a NaN somewhere in each image whose values left the range.

        Raises:
          InputError: As for `__call__`.
        """
        halvings = 1 + len(self.stages)
        if x.shape[1] % 2**halvings or x.shape[2] % 2**halvings:
            raise InputError(
                f"images: {x.shape[1]}x{x.shape[2]} pixels given; allowed: multiples of "
                f"{2**halvings}, as {len(self.stages)} stages halve the sides {halvings} times. "
                "Resize or crop the images."
            )
        x = coupling.in_range(coupling.snap(x, self.lattice), self.lattice)
        halves = jnp.split(space_to_depth(x), 2, axis=-1)
        return jnp.concatenate(self._run(*halves, train, x.shape[-1]), axis=-1)

    def inverse(self, features: jax.Array, train: bool) -> jax.Array:
        """Computes the images from which the method `features` made these features.

        Plain floats give the images back to rounding. With `lattice` the result is bit for bit the
        image, rounded to multiples of 2^-lattice, if B is that of `features`: another number of
        images is another program, which may round otherwise, and some values then come back a step
        or more off. `coupling` says more.

        Args:
          features: Output of the method `features`, [B, h, w, channels].
          train: The same value as the method `features` had; with True the images of the batch must
            be the same, too. The running statistics stay as they are.

        Returns:
          Images [B, H, W, C]. With `lattice` there is a NaN somewhere in each image whose values
          left the range.

        Raises:
          InputError: The stages cannot have made that number of channels.
        """
        growth = 4 ** (1 + len(self.stages))
        channels, rest = divmod(features.shape[-1], growth)
        if rest:
            raise InputError(
                f"features: {features.shape[-1]} channels given; allowed: multiples of {growth}."
            )
        halves = jnp.split(features, 2, axis=-1)
        halves = self._run(*halves, train, channels, inverse=True)
        return depth_to_space(jnp.concatenate(halves, axis=-1))

    @nn.compact
    def _run(self, x, y, train, channels, inverse=False):
        """Runs both halves of the channels through the stages, forward or backward.

        Args:
          x: The first half, [B, H/2, W/2, 2 C] or, with `inverse`, [B, h, w, c].
          y: The second half, of the same shape.
          train: Whether BatchNorm takes the batch's statistics.
          channels: Channels of the images, C.
          inverse: Whether to run from the trunk's output to its input.

        Returns:
          (x, y) at the other end.
        """
        self._check_fields()
        stages, params, stats = [], [], []
        features = 2 * channels
        for number, blocks in enumerate(self.stages, 1):
            features *= 4
            stages.append(self._stage(number, features, blocks))
            init = functools.partial(_init, stages[-1], blocks, features)
            name = f"stage_{number}"
            params.append(self.param(name, lambda key, init=init: init(key)["params"]))
            # The key does not matter: statistics do not start at random.
            start = functools.partial(init, jax.random.key(0))
            stats.append(self.variable("batch_stats", name, lambda f=start: f()["batch_stats"]))
        variables = params, [variable.value for variable in stats]
        if inverse:
            return coupling.inverse(stages, train, *variables, x, y)
        x, y, updated = coupling.forward(tuple(stages), train, *variables, x, y, self.gradient)
        if train and not self.is_initializing():
            for variable, value in zip(stats, updated, strict=True):
                variable.value = value
        return x, y

    def _stage(self, number, features, blocks):
        """Makes a stage of blocks whose halves have that number of channels."""
        block = functools.partial(
            Bottleneck,
            features,
            max(1, round(self.width * features / 4)),
            self.axis_name,
            tuple(self.kernels),
            attention=self.attention == "spatial",
            bottleneck=self.bottleneck,
            attention_kernel=self.attention_kernel,
            dtype=self.dtype,
            parent=None,  # Otherwise flax would make it a submodule of this module.
        )
        first = block(stride=2, leading_norm=number > 1)
        return coupling.Stage(first, block() if blocks > 1 else None, self.lattice)

    def _check_fields(self):
        for name, is_allowed, allowed in (
            ("stages", len(self.stages) and min(self.stages) >= 1, "numbers of blocks, from 1 on"),
            (
                "kernels",
                len(self.kernels) == 3 and all(k > 0 and k % 2 for k in self.kernels),
                "three odd sides",
            ),
            ("attention", self.attention in ATTENTIONS, ", ".join(ATTENTIONS)),
            ("bottleneck", self.bottleneck in BOTTLENECKS, ", ".join(BOTTLENECKS)),
            ("attention_kernel", self.attention_kernel in KERNELS, ", ".join(KERNELS)),
            ("width", 0 < self.width < math.inf, "numbers above 0"),
            (
                "lattice",
                self.lattice is None or 0 <= self.lattice < coupling.SIGNIFICAND,
                f"None and 0 to {coupling.SIGNIFICAND - 1}",
            ),
            ("gradient", self.gradient in coupling.GRADIENTS, ", ".join(coupling.GRADIENTS)),
            ("dtype", self.dtype in convolutions.DTYPES, ", ".join(convolutions.DTYPES)),
        ):
            if not is_allowed:
                raise InputError(f"{name}: {getattr(self, name)!r} given; allowed: {allowed}.")


def _init(stage, blocks, features, key):
    """Draws variables of a stage: {"params": {"first": ..., "rest": ...}, "batch_stats": ...}."""
    first_key, rest_key = jax.random.split(key)

    def init(block, key, channels):
        # The shapes of variables do not depend on the size of the image.
        return block.init(key, jnp.zeros((1, 2, 2, channels)), train=False)

    parts = {"first": init(stage.first, first_key, features // 4)}
    if stage.rest:
        keys = jax.random.split(rest_key, blocks - 1)
        parts["rest"] = jax.vmap(lambda key: init(stage.rest, key, features))(keys)
    return {
        collection: {part: variables[collection] for part, variables in parts.items()}
        for collection in ("params", "batch_stats")
    }
