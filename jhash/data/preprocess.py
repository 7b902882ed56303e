"""Preprocesses images, from bytes to the model's input: mean image, resize, center crop.

All functions but `mean_image` are pure and run on the device, to be called inside a jitted step.
Evaluation calls `eval_images`. Training calls `augment.train_images`, which begins with the same
`preprocess`.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError


def mean_image(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Averages the images of a data set, on the host.

    Sums are in float64, in which sums of bytes are exact. The mean thus depends neither on the
    order nor on the batch size.

    Args:
      batches: uint8 arrays [B, H, W, C] of one image size.

    Returns:
      float32 [H, W, C], in the unit of the images (0..255).

    Raises:
      InputError: There is no image, or an array does not have 4 axes.
    """
    total, count = 0.0, 0
    for batch in batches:
        if np.ndim(batch) != 4:
            raise InputError(f"batches: shape {np.shape(batch)} given; allowed: [B, H, W, C].")
        total = total + np.sum(batch, axis=0, dtype=np.float64)
        count += len(batch)
    if count == 0:
        raise InputError("batches: no image given; allowed: 1 and more.")
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

    The steps are: resize, repeat a gray channel, subtract the mean, scale. As resizing is linear,
    the mean could be subtracted first with the same result. In this order a mean image of another
    size (the published one of CNN-F is 224x224) fits images of any size. Resizing is bilinear with
    half-pixel centers. It is antialiased when it shrinks, as in PIL and in MATLAB's `imresize`;
    otherwise most pixels of a large image would be left out.

    Args:
      images: uint8 or float [B, H, W, C].
      mean: Mean image [H', W', C'], color [C'], or number, in the unit of the images. C' is 1 or
        the number of channels of the result.
      size: Height and width of the result, in pixels.
      scale: Factor of the result, such as 1/255.
      channels: Number of channels of the result. None keeps the images' own; any other number than
        their own needs gray images, whose channel is repeated.

    Returns:
      float32 [B, size, size, channels].

    Raises:
      InputError: The images cannot get that number of channels, or `mean` does not fit it.
    """
    x = _resize(images.astype(jnp.float32), size)
    if channels is not None and channels != x.shape[-1]:
        if x.shape[-1] != 1:
            raise InputError(
                f"channels: {channels} given for images of {x.shape[-1]} channels; allowed: "
                f"{x.shape[-1]}, as only gray images (1 channel) can be repeated."
            )
        x = jnp.repeat(x, channels, axis=-1)
    mean = jnp.asarray(mean, jnp.float32)
    if mean.shape[-1:] not in ((), (1,), x.shape[-1:]):
        raise InputError(
            f"mean: shape {mean.shape} given for images of {x.shape[-1]} channels; allowed: a "
            f"number, or 1 or {x.shape[-1]} channels."
        )
    return (x - (_resize(mean, size) if mean.ndim == 3 else mean)) * scale


def eval_images(
    images: jax.Array,
    mean: jax.Array | float,
    *,
    size: int,
    scale: float = 1.0,
    channels: int | None = None,
    crop: int | None = None,
    resize: str = "stretch",
    mirror: bool = False,
) -> jax.Array:
    """Computes the model's input in evaluation: `preprocess`, then the center crop.

    Args:
      images: uint8 or float [B, H, W, C].
      mean: Mean image, color or number, as for `preprocess`.
      size: Height and width to which images are resized, in pixels.
      scale: Factor of the result, such as 1/255.
      channels: Number of channels of the result, as for `preprocess`.
      crop: Side of the center crop in pixels; None keeps `size`.
      resize: The way in which the host has brought files to the shape of the images; it is over by
        now, so nothing here depends on it.
      mirror: Whether the outputs are averaged with those of mirror images, which is the matter of
        `encoding.forward`; nothing here depends on it.

    Returns:
      float32 [B, side, side, channels], where `side` is `crop`, or `size` without it.

    Raises:
      InputError: As `preprocess` does, or the crop is larger than `size`.
    """
    del resize, mirror
    x = preprocess(images, mean, size=size, scale=scale, channels=channels)
    return x if crop is None else center_crop(x, crop)


def center_crop(images: jax.Array, size: int) -> jax.Array:
    """Cuts the center out of images.

    Where the margins cannot be equal, those at the bottom and on the right are larger by 1 pixel.

    Args:
      images: [B, H, W, C].
      size: Side of the result in pixels.

    Returns:
      [B, size, size, C], dtype of `images`.

    Raises:
      InputError: The images are smaller than `size`. The message calls it `crop`, as callers do.
    """
    height, width = images.shape[1:3]
    check_crop(size, size, height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, top : top + size, left : left + size]


def check_crop(crop_height: int, crop_width: int, height: int, width: int) -> None:
    """Checks that a window fits into an image; all arguments are in pixels.

    Raises:
      InputError: The window is larger than the image.
    """
    if crop_height > height or crop_width > width:
        raise InputError(
            f"crop: {crop_height}x{crop_width} given; allowed: up to {height}x{width} pixels, the "
            "size of the image, padding included."
        )


def _resize(x: jax.Array, size: int) -> jax.Array:
    """Resizes [..., H, W, C] to [..., size, size, C]."""
    shape = (*x.shape[:-3], size, size, x.shape[-1])
    return x if x.shape == shape else jax.image.resize(x, shape, "bilinear", antialias=True)
