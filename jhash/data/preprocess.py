"""Images from bytes to the model's input: mean image, resize, middle crop.

All but `mean_image` are pure functions on the device, to be called inside a jitted step. Evaluation
calls `eval_images`; training calls `augment.train_images`, which begins in the same way.
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


def center_crop(images: jax.Array, size: int) -> jax.Array:
    """Cuts the middle [B, size, size, C] out of images [B, H, W, C]; odd margins are larger last.

    Raises:
      InputError: The images are smaller than `size`.
    """
    height, width = images.shape[1:3]
    check_crop(size, size, height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, top : top + size, left : left + size]


def check_crop(crop_height: int, crop_width: int, height: int, width: int) -> None:
    """Raises InputError unless a window fits into an image of that height and width."""
    if crop_height > height or crop_width > width:
        raise InputError(
            f"crop: {crop_height}x{crop_width} given; the image has {height}x{width} pixels, "
            "padding included."
        )


def _resize(x: jax.Array, size: int) -> jax.Array:
    """Resizes [..., H, W, C] to [..., size, size, C]."""
    shape = (*x.shape[:-3], size, size, x.shape[-1])
    return x if x.shape == shape else jax.image.resize(x, shape, "bilinear", antialias=True)
