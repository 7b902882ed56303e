"""A function of one image after another, or of many at once, with bounded memory."""

from collections.abc import Callable
from typing import Any

import jax

from jhash import forms

# Numbers that are computed at once on an accelerator; 64 MiB in float32.
MAX_NUMBERS = 1 << 24


def map_images(function: Callable, images: Any, numbers: int) -> Any:
    """Maps a function over images.

    CPUs compute one image after another, whose arrays then fit into a cache. An accelerator would
    be idle for most of such a loop, so it computes all images at once, or as many as have
    `MAX_NUMBERS` intermediate numbers.

    Args:
      function: Function of the arrays of one image.
      images: Pytree of arrays [B, ...].
      numbers: Number of intermediate numbers of one image, such as B L for the differences from all
        images of the batch.

    Returns:
      Pytree of the results, [B, ...].
    """
    if forms.for_cpu():
        return jax.lax.map(function, images)
    count = len(jax.tree.leaves(images)[0])
    at_once = max(1, MAX_NUMBERS // numbers)
    if count <= at_once:
        return jax.vmap(function)(images)
    return jax.lax.map(function, images, batch_size=at_once)
