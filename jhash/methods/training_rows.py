"""What methods share that keep something for every training image, or draw some as queries."""

import jax
import jax.numpy as jnp
import numpy as np


def rows(data) -> np.ndarray:
    """Returns the row of each image of the source in arrays of the training images.

    Args:
      data: The data.

    Returns:
      int32 [number of images of the source]; 0 for those that are no training images.
    """
    found = np.zeros(len(data.source), np.int32)
    found[data.train] = np.arange(len(data.train))
    return found


def draw(indices: np.ndarray, count: int, passes: int, key: jax.Array) -> np.ndarray:
    """Draws images, or takes all of them if there are fewer, and shuffles them for each pass.

    Args:
      indices: The images to draw from.
      count: Number of images to draw.
      passes: Number of times that each of them comes, in as many orders.
      key: PRNG key.

    Returns:
      int64 [passes * min(count, number of images)].
    """
    draw_key, *pass_keys = jax.random.split(key, 1 + passes)
    drawn = jax.random.permutation(draw_key, len(indices))[:count]
    order = jnp.concatenate([jax.random.permutation(pass_key, drawn) for pass_key in pass_keys])
    return indices[np.asarray(order)]


def learned_codes(data, codes: np.ndarray) -> np.ndarray | None:
    """Returns the codes of the training images as those of the database.

    Args:
      data: The data.
      codes: Codes of the training images, [n, bits] in {-1, +1}.

    Returns:
      int8 [n, bits] in the order of the database; None if an image of it is no training image.
    """
    if not np.isin(data.database, data.train).all():
        return None
    return np.asarray(codes, np.int8)[rows(data)[data.database]]
