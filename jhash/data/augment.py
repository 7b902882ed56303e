"""Images from bytes to the network's input: mean image, resize, random crop and flip.

All but `mean_image` are pure functions on the device, to be called inside a jitted step. A step
calls `train_images` or `eval_images`; both take the same geometry (`size`, `crop`, `scale`,
`channels`), and training adds the random part (`pad`, `flip`).
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError


def mean_image(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Averages the images of a data set, on the host.

    Sums are in float64, in which sums of bytes are exact: the mean depends neither on the order nor
    on the batch size.

    Args:
      batches: uint8 arrays [B, H, W, C] of one image size.

    Returns:
      float32 [H, W, C], in the unit of the images (0..255).

    Raises:
      InputError: There is no image, or an array has other than 4 axes.
    """
    total, count = 0.0, 0
    for batch in batches:
        if np.ndim(batch) != 4:
            raise InputError(f"batches: shape {np.shape(batch)} given; [B, H, W, C] needed.")
        total = total + np.sum(batch, axis=0, dtype=np.float64)
        count += len(batch)
    if count == 0:
        raise InputError("batches: no image given; a mean image needs at least one.")
    return (total / count).astype(np.float32)


def preprocess(
    images: jax.Array,
    mean: jax.Array | float,
    *,
    size: int,
    scale: float = 1.0,
    channels: int | None = None,
) -> jax.Array:
    """Computes scale * (resize(images) - resize(mean)).

    The order is resize, repeat of a grey channel, mean, scale. Resizing is linear, so that taking
    the mean off first would give the same; this way a mean image of another size (the published
    one of CNN-F is 224x224) serves images of any size. Resizing is bilinear with half-pixel
    centres, and antialiased when it shrinks (as PIL and MATLAB's `imresize` do; without it most
    pixels of a large image would be left out).

    Args:
      images: uint8 (or real) [B, H, W, C].
      mean: Mean image [H', W', C'], a colour [C'], or a number, in the unit of the images; C' is 1
        or the number of channels returned.
      size: Height and width of the result, in pixels.
      scale: Factor of the result, such as 1/255.
      channels: Channels of the result: None, or that of the images, leaves them; 3 repeats grey.

    Returns:
      float32 [B, size, size, channels].

    Raises:
      InputError: The images cannot become `channels`, or `mean` has other channels than they.
    """
    x = _resize(images.astype(jnp.float32), size)
    if channels is not None and channels != x.shape[-1]:
        if x.shape[-1] != 1:
            raise InputError(
                f"channels: {channels} given for images of {x.shape[-1]} channels; only grey "
                "images (1 channel) can be repeated."
            )
        x = jnp.repeat(x, channels, axis=-1)
    mean = jnp.asarray(mean, jnp.float32)
    if mean.shape[-1:] not in ((), (1,), x.shape[-1:]):
        raise InputError(f"mean: shape {mean.shape} given for images of {x.shape[-1]} channels.")
    return (x - (_resize(mean, size) if mean.ndim == 3 else mean)) * scale


def augment(
    images: jax.Array,
    keys: jax.Array,
    *,
    pad: int = 0,
    crop: int | None = None,
    flip: bool = False,
) -> jax.Array:
    """Cuts a random window out of each (padded) image and mirrors half of them.

    Offsets are uniform over the windows that fit; padding reflects the image without repeating its
    border. What happens to an image depends on its key alone: neither on its place in the batch
    nor on the other images, and so not on the number of devices.

    Args:
      images: [B, H, W, C].
      keys: One random key an image, [B].
      pad: Pixels added on every side before the crop.
      crop: Side of the window in pixels; None keeps the height and width of the images.
      flip: Mirror left to right with probability 1/2.

    Returns:
      [B, crop, crop, C], dtype of `images`.

    Raises:
      InputError: The window is larger than the padded image, or the padding than the image allows.
    """
    height, width = images.shape[1:3]
    if not 0 <= pad < min(height, width):
        raise InputError(f"pad: {pad} given; 0 to {min(height, width) - 1} can be reflected.")
    out_height, out_width = (height, width) if crop is None else (crop, crop)
    _check_crop(out_height, out_width, height + 2 * pad, width + 2 * pad)
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
        # Padding, crop and flip are one gather; the indices are valid by construction, and without
        # bounds checks it is faster on the CPU than slices, one-hot products or masked shifts.
        return image.at[rows[:, None], columns].get(mode="promise_in_bounds")

    return jax.vmap(cut)(images, keys)


def center_crop(images: jax.Array, size: int) -> jax.Array:
    """Cuts the middle [B, size, size, C] out of images [B, H, W, C]; odd margins are larger last.

    Raises:
      InputError: The images are smaller than `size`.
    """
    height, width = images.shape[1:3]
    _check_crop(size, size, height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, top : top + size, left : left + size]


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
) -> jax.Array:
    """The network's input in training: `preprocess`, then `augment`."""
    x = preprocess(images, mean, size=size, scale=scale, channels=channels)
    return augment(x, keys, pad=pad, crop=crop, flip=flip)


def eval_images(
    images: jax.Array,
    mean: jax.Array | float,
    *,
    size: int,
    scale: float = 1.0,
    channels: int | None = None,
    crop: int | None = None,
) -> jax.Array:
    """The network's input in evaluation: `preprocess`, then the middle `crop`."""
    x = preprocess(images, mean, size=size, scale=scale, channels=channels)
    return x if crop is None else center_crop(x, crop)


def _resize(x: jax.Array, size: int) -> jax.Array:
    """Resizes [..., H, W, C] to [..., size, size, C]."""
    shape = (*x.shape[:-3], size, size, x.shape[-1])
    return x if x.shape == shape else jax.image.resize(x, shape, "bilinear", antialias=True)


def _reflect(index: jax.Array, length: int) -> jax.Array:
    """Maps indices up to `length - 1` beyond either end back inside, as mirrors at the ends do."""
    index = jnp.abs(index)
    return jnp.minimum(index, 2 * (length - 1) - index)


def _check_crop(crop_height: int, crop_width: int, height: int, width: int) -> None:
    if crop_height > height or crop_width > width:
        raise InputError(
            f"crop: {crop_height}x{crop_width} given; the image has {height}x{width} pixels, "
            "padding included."
        )
