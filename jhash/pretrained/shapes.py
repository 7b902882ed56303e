"""The shapes of a model's variables, which published weights must have."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash import models

# Side of the images on which the weights were trained, in pixels.
_SIDE = 224


def of(model: nn.Module) -> dict[str, Any]:
    """Returns the shapes of a model's variables, for images of 224 x 224 pixels in three colors."""
    image = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)

    def init(image):
        return models.without_axis(model).init(jax.random.key(0), image, train=False)

    return jax.eval_shape(init, image)
