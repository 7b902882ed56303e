"""Random windows, mirror images, erased squares and views of images, for training only.

Stronger changes are in `distortions`.

What happens to an image depends on its key alone: neither on its place in the batch nor on the
other images, and so not on the number of devices.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jhash.data.distortions import distort
from jhash.data.preprocess import check_crop, preprocess
from jhash.errors import InputError

# The options that change nothing; `rotate_step` turns further views alone.
_IDENTITY = {
    "pad": 0,
    "flip": False,
    "erase": 0,
    "views": 1,
    "crop_area": 1.0,
    "jitter": 0.0,
    "gray": 0.0,
    "blur": 0.0,
}


def train_images(
    images: jax.Array,
    keys: jax.Array,
    mean: jax.Array | float,
    *,
    size: int,
    scale: float = 1.0,
    channels: int | None = None,
    crop: int | None = None,
    pad: int = 0,
    flip: bool = False,
    erase: int = 0,
    resize: str = "stretch",
    mirror: bool = False,
    **strong: float,
) -> jax.Array:
    """Computes the model's input in training: `distort`, `preprocess`, then `augment`.

    Args:
      images: uint8 [B, H, W, C].
      keys: One random key per image, [B].
      mean: Mean image, color or number, as for `preprocess`.
      size: Height and width to which images are resized, in pixels.
      scale: Factor of the result, such as 1/255.
      channels: Number of channels of the result, as for `preprocess`.
      crop: Side of the random window in pixels; None keeps `size`.
      pad: Number of pixels added on every side before the crop.
      flip: Mirrors images left to right with probability 1/2.
      erase: Side of the square that is erased in every image, in pixels; 0 erases nothing.
      resize: As for `preprocess.eval_images`, as is `mirror`.
      mirror: Nothing in training depends on it.
      **strong: Arguments of `distortions.distort`, which does nothing by default.

    Returns:
      float32 [B, side, side, channels], where `side` is `crop`, or `size` without it.

    Raises:
      InputError: As `preprocess` and `augment` do.
    """
    del resize, mirror
    images = distort(images, keys, **strong)
    x = preprocess(images, mean, size=size, scale=scale, channels=channels)
    x = augment(x, keys, pad=pad, crop=crop, flip=flip)
    return erase_squares(x, keys, erase) if erase else x


def is_identity(options: Mapping[str, float]) -> bool:
    """Tells if options of `train_views` leave every image as it is in evaluation, without a crop.

    Args:
      options: The fields of `config.augment`.
    """
    return all(options[name] == value for name, value in _IDENTITY.items())


def train_views(
    images: jax.Array,
    keys: jax.Array,
    mean: jax.Array | float,
    *,
    views: int = 1,
    rotate_step: float = 0.0,
    **options,
) -> jax.Array:
    """Makes one or several random views of each image.

    Args:
      images: uint8 [B, H, W, C].
      keys: One random key per image, [B].
      mean: Mean image, color or number, as for `preprocess`.
      views: Number of views, 1 or more. The first view is that of `train_images`. Each other
        depends on the image's key and on the number of the view alone.
      rotate_step: Angle in degrees, the step between the views: they are turned by 0, 1, -1, 2, -2,
        ... steps.
      **options: Further arguments of `train_images`.

    Returns:
      float32 [B, side, side, channels] for one view, else [views, B, side, side, channels].

    Raises:
      InputError: As `train_images` does.
    """
    if views == 1:
        return train_images(images, keys, mean, **options)
    fold_in = jax.vmap(jax.random.fold_in, (0, None))
    keys_of_views = [keys, *(fold_in(keys, number) for number in range(1, views))]
    return jnp.stack(
        [
            train_images(images, own, mean, degrees=rotate_step * view_turn(number), **options)
            for number, own in enumerate(keys_of_views)
        ]
    )


def view_turn(number: int) -> int:
    """Returns by how many steps a view is turned: 0, 1, -1, 2, -2, ... for 0, 1, 2, 3, 4, ..."""
    steps = (number + 1) // 2
    return steps if number % 2 else -steps


def augment(
    images: jax.Array,
    keys: jax.Array,
    *,
    pad: int = 0,
    crop: int | None = None,
    flip: bool = False,
) -> jax.Array:
    """Cuts a random window out of each padded image, and mirrors it with probability 1/2.

    Offsets are uniform over the windows that fit. Padding reflects the image without repeating its
    border.

    Args:
      images: [B, H, W, C].
      keys: One random key per image, [B].
      pad: Number of pixels added on every side before the crop.
      crop: Side of the window in pixels; None keeps the height and width of the images.
      flip: Mirrors images left to right with probability 1/2; without it none is mirrored.

    Returns:
      [B, H, W, C], or [B, crop, crop, C] with `crop`; dtype of `images`.

    Raises:
      InputError: The window is larger than the padded image, or the padding is as large as the
        image.
    """
    height, width = images.shape[1:3]
    if not 0 <= pad < min(height, width):
        raise InputError(
            f"pad: {pad} given; allowed: 0 to {min(height, width) - 1}, the pixels to reflect."
        )
    out_height, out_width = (height, width) if crop is None else (crop, crop)
    check_crop(out_height, out_width, height + 2 * pad, width + 2 * pad)
    if not pad and not flip and (out_height, out_width) == (height, width):
        return images

    def cut(image: jax.Array, key: jax.Array) -> jax.Array:
        row_key, column_key, flip_key = jax.random.split(key, 3)
        row = jax.random.randint(row_key, (), 0, height + 2 * pad - out_height + 1)
        column = jax.random.randint(column_key, (), 0, width + 2 * pad - out_width + 1)
        rows, columns = jnp.arange(out_height), jnp.arange(out_width)
        if flip:
            columns = jnp.where(jax.random.bernoulli(flip_key), columns[::-1], columns)
        rows = _reflect(row + rows - pad, height)
        columns = _reflect(column + columns - pad, width)
        # Padding, crop and flip are one gather. The indices are valid by construction, and without
        # a check of bounds a gather is faster on the CPU than slices, one-hot products or masked
        # shifts.
        return image.at[rows[:, None], columns].get(mode="promise_in_bounds")

    return jax.vmap(cut)(images, keys)


def erase_squares(images: jax.Array, keys: jax.Array, side: int) -> jax.Array:
    """Sets a square of each image to 0, which is the mean of preprocessed images.

    The center of the square is uniform over the pixels, so that squares at the border are cut off.

    Args:
      images: [B, H, W, C].
      keys: One random key per image, [B]; the squares do not depend on what `augment` draws.
      side: Side of the squares in pixels.

    Returns:
      [B, H, W, C], dtype of `images`.

    References:
      DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with
      cutout".
    """
    height, width = images.shape[1:3]

    def erase(image: jax.Array, key: jax.Array) -> jax.Array:
        row_key, column_key = jax.random.split(key, 5)[3:]  # `augment` has the first three.
        rows = jnp.arange(height) - jax.random.randint(row_key, (), 0, height) + side // 2
        columns = jnp.arange(width) - jax.random.randint(column_key, (), 0, width) + side // 2
        in_rows = (rows >= 0) & (rows < side)
        in_columns = (columns >= 0) & (columns < side)
        return jnp.where((in_rows[:, None] & in_columns)[..., None], 0, image)

    return jax.vmap(erase)(images, keys)


def _reflect(index: jax.Array, length: int) -> jax.Array:
    """Maps indices up to `length - 1` beyond either end back inside, like mirrors at the ends."""
    index = jnp.abs(index)
    return jnp.minimum(index, 2 * (length - 1) - index)
