"""Stacks of invertible blocks, run in both directions, and their gradient in constant memory.

A block maps (x, y) to (psi(y), psi(x) + F(y)), psi only where it downsamples (AIHN eq. 2 and 3), so
that y = psi^-1(x') and x = psi^-1(y' - F(y)) (eq. 4 and 5). A stage is a block that downsamples and
equal blocks after it, which are scanned.

*Bit for bit.* Float addition is inexact, so y' - F(y) is x to rounding only. On a lattice, where
the input and F's outputs are multiples of 2^-s (`snap`), sums below 2^(24 - s) are exact in
float32, and so is the inverse, if F is computed by the same compiled code in both directions. That
is certain outside of `jax.jit`: the pieces are jitted here, and both directions call the same ones.
In a larger jitted function they are compiled as part of it. A sum beyond the range becomes NaN, and
no later block takes that away.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from jhash.models.layers.bottleneck import Bottleneck
from jhash.models.layers.pixels import depth_to_space, space_to_depth

GRADIENTS = ("reversible", "plain", "checkpoint")
# Bits of float32's significand, the hidden one included.
SIGNIFICAND = 24


@dataclasses.dataclass(frozen=True)
class Stage:
    """A block that downsamples, then equal blocks.

    Attributes:
      first: F of the former.
      rest: F of each of the latter; None: there are none.
      lattice: s, or None for plain floats.
    """

    first: Bottleneck
    rest: Bottleneck | None
    lattice: int | None = None


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def snap(x: jax.Array, lattice: int | None) -> jax.Array:
    """Rounds to the nearest multiple of 2^-lattice (ties to even); its derivative is taken as 1."""
    if lattice is None:
        return x
    x = jnp.round(x * 2.0**lattice) * 2.0**-lattice
    # A -0 would come back as +0.
    return jnp.where(x == 0, 0, x)


@snap.defjvp
def _snap_jvp(lattice, primals, tangents):
    return snap(*primals, lattice), tangents[0]


def in_range(x: jax.Array, lattice: int | None) -> jax.Array:
    """`x` where its magnitude is below 2^(24 - lattice), else NaN; without a lattice all of it."""
    if lattice is None:
        return x
    return jnp.where(jnp.abs(x) < 2.0 ** (SIGNIFICAND - lattice), x, jnp.nan)


def forward(stages, train, params, stats, x, y, gradient="reversible"):
    """Runs stages of blocks.

    Args:
      stages: Tuple of `Stage`.
      train: BatchNorm takes the batch's statistics.
      params: For each stage {"first": ..., "rest": ...}, the latter stacked along a leading axis.
      stats: BatchNorm's running statistics, likewise.
      x: [B, H, W, C].
      y: [B, H, W, C].
      gradient: How differentiation gets the activations: "reversible" computes them again by the
        inverse, "plain" stores all, "checkpoint" stores those between the blocks.

    Returns:
      (x, y, statistics) after the last block; with `train` the statistics are updated.
    """
    if gradient == "reversible":
        return _reversible(stages, train, params, stats, x, y)
    return _forward(stages, train, params, stats, x, y, gradient == "checkpoint")


def inverse(stages, train, params, stats, x, y):
    """The (x, y) from which `forward` made these; arguments as there."""
    for stage, p, s in reversed(list(zip(stages, params, stats, strict=True))):
        if stage.rest:
            # The inverse is the same coupling with the roles exchanged and -F.
            flipped = jax.tree.map(lambda leaf: leaf[::-1], (p["rest"], s["rest"]))
            (y, x), _ = _couple(stage.rest, stage.lattice, train, *flipped, y, x, -1.0)
        before = depth_to_space(x)
        f, _ = _residual(stage.first, stage.lattice, train, p["first"], s["first"], before)
        x, y = depth_to_space(in_range(y - f, stage.lattice)), before
    return x, y


def _forward(stages, train, params, stats, x, y, checkpoint=False):
    updated = []
    for stage, p, s in zip(stages, params, stats, strict=True):
        f, first = _residual(stage.first, stage.lattice, train, p["first"], s["first"], y)
        x, y = space_to_depth(y), in_range(space_to_depth(x) + f, stage.lattice)
        updated.append({"first": first})
        if stage.rest:
            (x, y), updated[-1]["rest"] = _couple(
                stage.rest, stage.lattice, train, p["rest"], s["rest"], x, y, 1.0, checkpoint
            )
    return x, y, updated


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 8))
def _couple(block, lattice, train, params, stats, x, y, sign, checkpoint=False):
    """Equal blocks, one after another: (x, y) -> (y, x + sign F(y)) and new statistics."""

    def step(carry, variables):
        x, y = carry
        f, updated = _residual(block, lattice, train, *variables, y)
        return (y, in_range(x + sign * f, lattice)), updated

    if checkpoint:
        step = jax.checkpoint(step, prevent_cse=False)
    return lax.scan(step, (x, y), (params, stats))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _residual(block, lattice, train, params, stats, y):
    """F(y), on the lattice, and new statistics."""
    variables = {"params": params, "batch_stats": stats}
    if not train:
        return snap(block.apply(variables, y, False), lattice), stats
    f, changed = block.apply(variables, y, True, mutable=["batch_stats"])
    return snap(f, lattice), changed["batch_stats"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _reversible(stages, train, params, stats, x, y):
    """`_forward`, whose gradient keeps nothing but the last block's x and y."""
    return _forward(stages, train, params, stats, x, y)


def _reversible_forward(stages, train, params, stats, x, y):
    x, y, updated = _forward(stages, train, params, stats, x, y)
    return (x, y, updated), (params, stats, x, y)


def _reversible_backward(stages, train, saved, gradients):
    params, stats, x, y = saved
    x_gradient, y_gradient, _ = gradients
    param_gradients = []
    for stage, p, s in reversed(list(zip(stages, params, stats, strict=True))):
        gradient = {}
        if stage.rest:
            back = functools.partial(_back, stage.rest, stage.lattice, train)
            carry = x, y, x_gradient, y_gradient
            carry, gradient["rest"] = lax.scan(back, carry, (p["rest"], s["rest"]), reverse=True)
            x, y, x_gradient, y_gradient = carry
        # psi permutes, so its transpose is its inverse.
        x, x_gradient = depth_to_space(x), depth_to_space(x_gradient)
        f, pull = _pullback(stage.first, stage.lattice, train, p["first"], s["first"], x)
        gradient["first"], through_f = pull(y_gradient)
        x, y = depth_to_space(y - f), x
        x_gradient, y_gradient = depth_to_space(y_gradient), x_gradient + through_f
        param_gradients.insert(0, gradient)
    # The statistics are no function of the parameters to differentiate.
    nothing = jax.tree.map(jnp.zeros_like, stats)
    return param_gradients, nothing, x_gradient, y_gradient


_reversible.defvjp(_reversible_forward, _reversible_backward)


def _back(block, lattice, train, carry, variables):
    """From x, y and their gradients after a block to those before it."""
    x, y, x_gradient, y_gradient = carry
    f, pull = _pullback(block, lattice, train, *variables, x)
    param_gradient, through_f = pull(y_gradient)
    return (y - f, x, y_gradient, x_gradient + through_f), param_gradient


def _pullback(block, lattice, train, params, stats, y):
    f, pull, _ = jax.vjp(
        lambda params, y: _residual(block, lattice, train, params, stats, y),
        params,
        y,
        has_aux=True,
    )
    return f, pull
