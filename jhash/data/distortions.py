"""Strong random changes of images, as contrastive methods take them: windows, colors, blur, turns.

All are of the images as they are in the source, before they are resized. As in `augment`, what
happens to an image depends on its key alone.
"""

import jax
import jax.numpy as jnp
import numpy as np

# The number that makes the key of these changes another than those of `augment`, whose views have
# the numbers up to 63.
_STREAM = 64
# Min and max ratio of the width of a window to its height, over that of the image.
_RATIOS = (3 / 4, 4 / 3)
# Share of the images whose colors are changed.
_JITTERED = 0.7
# Max shift of the hue per unit of strength, as a share of the circle of hues.
_HUE = 0.25
# Min and max standard deviation of the blur in pixels.
_SIGMAS = (0.1, 2.0)
_LUMA = np.float32([0.299, 0.587, 0.114])
# Rows: luma, and the two coordinates of the plane of hues (YIQ).
_YIQ = np.float32([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def distort(
    images: jax.Array,
    keys: jax.Array,
    *,
    crop_area: float = 1.0,
    jitter: float = 0.0,
    gray: float = 0.0,
    blur: float = 0.0,
    degrees: float = 0.0,
) -> jax.Array:
    """Turns images, then takes a random window, changes colors, makes images gray and blurs them.

    Args:
      images: uint8 or float [B, H, W, C], 0 to 255.
      keys: One random key per image, [B].
      crop_area: Min area of the window, as a share of the image's; 1 for the whole image. The area
        is uniform, the ratio of the sides changes by up to 4/3, and the window is resized to the
        size of the image. A side that would be longer than the image's is cut to it, so that a
        window of more than 3/4 of the area may be smaller than was drawn, by up to 13 percent.
      jitter: Strength of the change of colors, 0 to 1. Brightness, contrast and saturation get
        factors in [1 - jitter, 1 + jitter], and the hue a shift of up to jitter / 4 of the circle,
        in 7 of 10 images. Gray images have neither saturation nor hue.
      gray: Probability that a color image becomes gray.
      blur: Probability that an image is blurred, by 3 x 3 pixels of a Gaussian.
      degrees: Angle by which all images are turned counterclockwise about their centers. What comes
        from outside of an image has the color of the nearest pixel of its border.

    Returns:
      float32 [B, H, W, C], 0 to 255; the images themselves if nothing is to be done.

    References:
      The parts and their numbers are those of CIBHash (Qiu et al. 2021),
      zexuanqiu/CIBHash:utils/data.py, which are SimCLR's (Chen et al. 2020) but weaker. There the
      changes of colors come in random order and the hue is that of HSV; here they come in the order
      above, and the hue turns in the plane of YIQ, which is linear.
    """
    if degrees:
        images = _turn(images.astype(jnp.float32), degrees)
    if crop_area == 1 and not (jitter or gray or blur):
        return images

    def change(x_HxWxC, key):
        keys = jax.random.split(jax.random.fold_in(key, _STREAM), 4)
        if crop_area < 1:
            x_HxWxC = _window(x_HxWxC, keys[0], crop_area)
        if jitter:
            x_HxWxC = _recolor(x_HxWxC, keys[1], jitter)
        if gray and x_HxWxC.shape[2] == 3:
            chosen = jax.random.bernoulli(keys[2], gray)
            x_HxWxC = jnp.where(chosen, _luma(x_HxWxC), x_HxWxC)
        return _blur(x_HxWxC, keys[3], blur) if blur else x_HxWxC

    return jax.vmap(change)(images.astype(jnp.float32), keys)


def _turn(images, degrees):
    """Turns images about their centers, by bilinear interpolation."""
    height, width = images.shape[1:3]
    angle = np.deg2rad(degrees)
    down, right = np.mgrid[:height, :width].astype(np.float32)
    down, right = down - (height - 1) / 2, right - (width - 1) / 2
    # Where the pixel was before it was turned.
    rows = np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2
    columns = np.cos(angle) * right - np.sin(angle) * down + (width - 1) / 2

    def turn(channel_HxW):
        places = [jnp.float32(rows), jnp.float32(columns)]
        return jax.scipy.ndimage.map_coordinates(channel_HxW, places, order=1, mode="nearest")

    return jax.vmap(jax.vmap(turn, 2, 2))(images)


def _window(x_HxWxC, key, smallest):
    """Cuts out a random window and resizes it to the size of the image."""
    area_key, ratio_key, row_key, column_key = jax.random.split(key, 4)
    area = jax.random.uniform(area_key, minval=smallest, maxval=1.0)
    bounds = np.log(_RATIOS)
    ratio = jnp.exp(jax.random.uniform(ratio_key, minval=bounds[0], maxval=bounds[1]))
    shares = jnp.minimum(jnp.sqrt(area / ratio), 1), jnp.minimum(jnp.sqrt(area * ratio), 1)

    def weights(size, share, key):
        """Returns the bilinear weights [size, size] of the old pixels in each new one."""
        first = jax.random.uniform(key) * (1 - share) * size
        places = first + (jnp.arange(size) + 0.5) * share - 0.5
        places = jnp.clip(places, 0, size - 1)
        return jax.nn.relu(1 - jnp.abs(places[:, None] - jnp.arange(size)))

    rows = weights(x_HxWxC.shape[0], shares[0], row_key)
    columns = weights(x_HxWxC.shape[1], shares[1], column_key)
    return jnp.einsum("ih,jw,hwc->ijc", rows, columns, x_HxWxC, precision="highest")


def _recolor(x_HxWxC, key, strength):
    """Changes brightness, contrast, saturation and hue, or nothing."""
    chosen_key, *keys, hue_key = jax.random.split(key, 5)
    brightness, contrast, saturation = (
        jax.random.uniform(one, minval=1 - strength, maxval=1 + strength) for one in keys
    )
    clip = lambda x: jnp.clip(x, 0, 255)  # noqa: E731
    y = clip(x_HxWxC * brightness)
    mean = _luma(y).mean()
    y = clip(mean + contrast * (y - mean))
    if y.shape[2] == 3:
        y = clip(_luma(y) + saturation * (y - _luma(y)))
        shift = jax.random.uniform(hue_key, minval=-_HUE, maxval=_HUE) * strength
        y = clip(y @ _hue_matrix(2 * jnp.pi * shift).T)
    return jnp.where(jax.random.bernoulli(chosen_key, _JITTERED), y, x_HxWxC)


def _hue_matrix(angle):
    """Returns the matrix that turns the hue of a color, [3, 3]."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    zero, one = jnp.zeros(()), jnp.ones(())
    turn = jnp.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine]).reshape(3, 3)
    return np.linalg.inv(_YIQ) @ turn @ _YIQ


def _luma(x_HxWxC):
    """Returns the luma of a color image, [H, W, 1]; a gray image as it is."""
    return x_HxWxC if x_HxWxC.shape[2] == 1 else (x_HxWxC * _LUMA).sum(2, keepdims=True)


def _blur(x_HxWxC, key, probability):
    """Blurs by a Gaussian of 3 x 3 pixels, or does nothing."""
    chosen_key, sigma_key = jax.random.split(key)
    sigma = jax.random.uniform(sigma_key, minval=_SIGMAS[0], maxval=_SIGMAS[1])
    side = jnp.exp(-1 / (2 * sigma**2))
    y = x_HxWxC
    for axis in (0, 1):
        padding = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        padded = jnp.pad(y, padding, "edge")
        size = y.shape[axis]
        before, middle, after = (
            jax.lax.slice_in_dim(padded, start, start + size, axis=axis) for start in range(3)
        )
        y = (side * (before + after) + middle) / (1 + 2 * side)
    return jnp.where(jax.random.bernoulli(chosen_key, probability), y, x_HxWxC)
