"""Stacks of invertible blocks, run in both directions, and their gradient in constant memory.

x and y are the two halves of the channels. A block maps them to x' = psi(y) and y' = psi(x) + F(y)
(AIHN eq. 2 and 3), so that y = psi^-1(x') and x = psi^-1(y' - F(y)) (eq. 4 and 5). psi is
`space_to_depth` in a block that downsamples, and the identity in others. A stage is one block that
downsamples and, after it, blocks of equal shape, which are scanned.

*Bit for bit.* Float addition is inexact, so y' - F(y) is psi(x) to rounding only. It is exact on a
lattice, where the images and F's outputs are multiples of 2^-s (`snap`): sums below 2^(24 - s) are
exact in float32, and so is the inverse, if the same compiled code computes F in both directions.
That is certain outside of `jax.jit` for batches of one shape, because the pieces are jitted here
and both directions call the same ones. For another number of images they are compiled anew, and in
a larger jitted function as part of it. A sum beyond the range becomes NaN, and no later block takes
that away.

The reversible gradient computes x from y' as the inverse does. Without a lattice its error is that
of float32 in every block. A block in bfloat16 rounds its inputs, and a few of them otherwise after
such an error, which grows from block to block: use a lattice with it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from jhash import forms
from jhash.models.layers.bottleneck import Bottleneck
from jhash.models.layers.pixels import depth_to_space, space_to_depth

GRADIENTS = ("reversible", "plain", "checkpoint")
# Bits of float32's significand, including the one that is not stored.
SIGNIFICAND = 24


@dataclasses.dataclass(frozen=True)
class Stage:
    """A block that downsamples, then blocks of equal shape.

    Attributes:
      first: F of the block that downsamples.
      rest: F of each of the other blocks, or None where there are none.
      lattice: s, whose lattice is the multiples of 2^-s; or None for plain floats.
    """

    first: Bottleneck
    rest: Bottleneck | None
    lattice: int | None = None


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def snap(x: jax.Array, lattice: int | None) -> jax.Array:
    """Rounds to the nearest multiple of 2^-lattice (ties to even); the derivative counts as 1."""
    if lattice is None:
        return x
    x = jnp.round(x * 2.0**lattice) * 2.0**-lattice
    # Sums would turn -0 into +0, so there is no -0 from the start.
    return jnp.where(x == 0, 0, x)


@snap.defjvp
def _snap_jvp(lattice, primals, tangents):
    return snap(*primals, lattice), tangents[0]


def in_range(x: jax.Array, lattice: int | None) -> jax.Array:
    """Replaces values from magnitude 2^(24 - lattice) on by NaN; without a lattice, none."""
    if lattice is None:
        return x
    return jnp.where(jnp.abs(x) < 2.0 ** (SIGNIFICAND - lattice), x, jnp.nan)


def forward(stages, train, params, stats, x, y, gradient="reversible"):
    """Runs stages of blocks.

    Args:
      stages: Tuple of `Stage`.
      train: Whether BatchNorm takes the batch's statistics.
      params: Parameters of each stage, {"first": ..., "rest": ...}; those of the blocks of "rest"
        are stacked along a leading axis.
      stats: BatchNorm's running statistics, in the same form.
      x: The first half of the channels, [B, H, W, C].
      y: The second half of the channels, [B, H, W, C].
      gradient: How differentiation gets the activations: "reversible" computes them again by the
        inverse, "plain" stores all of them, "checkpoint" stores those between the blocks.

    Returns:
      (x, y, statistics) after the last block; with `train` the statistics are updated.
    """
    if gradient == "reversible":
        return _reversible(stages, train, params, stats, x, y)
    return _forward(stages, train, params, stats, x, y, gradient == "checkpoint")


def inverse(stages, train, params, stats, x, y):
    """Computes the (x, y) from which `forward` made these; arguments as there."""
    for stage, param, stat in reversed(list(zip(stages, params, stats, strict=True))):
        if stage.rest:
            # The inverse is the same coupling, from the last block to the first, with the roles of
            # x and y exchanged and with -F.
            flipped = jax.tree.map(lambda leaf: leaf[::-1], (param["rest"], stat["rest"]))
            (y, x), _ = _couple(stage.rest, stage.lattice, train, *flipped, y, x, -1.0)
        y_before = depth_to_space(x)
        f, _ = _residual(stage.first, stage.lattice, train, param["first"], stat["first"], y_before)
        x, y = depth_to_space(in_range(y - f, stage.lattice)), y_before
    return x, y


def _forward(stages, train, params, stats, x, y, checkpoint=False):
    """Runs stages as `forward` does, in operations that JAX differentiates itself."""
    updated = []
    for stage, param, stat in zip(stages, params, stats, strict=True):
        stage_stats = {}
        f, stage_stats["first"] = _residual(
            stage.first, stage.lattice, train, param["first"], stat["first"], y
        )
        x, y = space_to_depth(y), in_range(space_to_depth(x) + f, stage.lattice)
        if stage.rest:
            variables = param["rest"], stat["rest"]
            (x, y), stage_stats["rest"] = _couple(
                stage.rest, stage.lattice, train, *variables, x, y, 1.0, checkpoint
            )
        updated.append(stage_stats)
    return x, y, updated


@forms.jit(static_argnums=(0, 1, 2, 8))
def _couple(block, lattice, train, params, stats, x, y, sign, checkpoint=False):
    """Runs blocks of equal shape, one after another: each maps (x, y) to (y, x + sign F(y)).

    Args:
      block: F of each block.
      lattice: s of the lattice, or None.
      train: Whether BatchNorm takes the batch's statistics.
      params: Parameters of the blocks, stacked along a leading axis.
      stats: Running statistics of the blocks, stacked likewise.
      x: The first half of the channels, [B, H, W, C].
      y: The second half of the channels, [B, H, W, C].
      sign: 1.0 or, for the inverse, -1.0.
      checkpoint: Whether a gradient stores only the activations between blocks.

    Returns:
      ((x, y), statistics), the latter stacked.
    """

    def step(carry, variables):
        x, y = carry
        f, updated = _residual(block, lattice, train, *variables, y)
        return (y, in_range(x + sign * f, lattice)), updated

    if checkpoint:
        step = jax.checkpoint(step, prevent_cse=False)
    return lax.scan(step, (x, y), (params, stats))


@forms.jit(static_argnums=(0, 1, 2))
def _residual(block, lattice, train, params, stats, y):
    """Computes F(y), on the lattice, and the statistics after it."""
    variables = {"params": params, "batch_stats": stats}
    if not train:
        return snap(block.apply(variables, y, False), lattice), stats
    f, changed = block.apply(variables, y, True, mutable=["batch_stats"])
    return snap(f, lattice), changed["batch_stats"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _reversible(stages, train, params, stats, x, y):
    """Runs `_forward` with a gradient that keeps nothing but the last block's x and y."""
    return _forward(stages, train, params, stats, x, y)


def _reversible_forward(stages, train, params, stats, x, y):
    x, y, updated = _forward(stages, train, params, stats, x, y)
    return (x, y, updated), (params, stats, x, y)


def _reversible_backward(stages, train, saved, gradients):
    params, stats, x, y = saved
    x_gradient, y_gradient, _ = gradients
    param_gradients = []
    for stage, param, stat in reversed(list(zip(stages, params, stats, strict=True))):
        gradient = {}
        if stage.rest:
            back = functools.partial(_back, stage.rest, stage.lattice, train)
            carry = x, y, x_gradient, y_gradient
            variables = param["rest"], stat["rest"]
            carry, gradient["rest"] = lax.scan(back, carry, variables, reverse=True)
            x, y, x_gradient, y_gradient = carry
        # The first block, as in `_back`, and psi, a permutation, whose transpose is its inverse.
        x, x_gradient = depth_to_space(x), depth_to_space(x_gradient)
        f, pull = _pullback(stage.first, stage.lattice, train, param["first"], stat["first"], x)
        gradient["first"], through_f = pull(y_gradient)
        x, y = depth_to_space(y - f), x
        x_gradient, y_gradient = depth_to_space(y_gradient), x_gradient + through_f
        param_gradients.insert(0, gradient)
    # Running statistics are not trained by gradient.
    stat_gradients = jax.tree.map(jnp.zeros_like, stats)
    return param_gradients, stat_gradients, x_gradient, y_gradient


_reversible.defvjp(_reversible_forward, _reversible_backward)


def _back(block, lattice, train, carry, variables):
    """Steps from x, y and their gradients after a block to those before it.

    x after the block is y before it, so F's argument is at hand.
    """
    x, y, x_gradient, y_gradient = carry
    f, pull = _pullback(block, lattice, train, *variables, x)
    param_gradient, through_f = pull(y_gradient)
    return (y - f, x, y_gradient, x_gradient + through_f), param_gradient


def _pullback(block, lattice, train, params, stats, y):
    """Computes F(y), and a function from F's gradient to those of the parameters and y."""
    f, pull, _ = jax.vjp(
        lambda params, y: _residual(block, lattice, train, params, stats, y),
        params,
        y,
        has_aux=True,
    )
    return f, pull
