"""Convolutions and pooling, each in the form that the platform is fast at.

XLA's CPU backend runs a depthwise convolution some nine to eighteen times slower than the same sum
written as shifted products, the gradient of a pooling window slowly, too, and a 7 x 7 convolution
of two channels to one, at 8 x 8 pixels, eleven to nineteen times slower than the product with the
matrix that it is. So on a CPU these functions are sums over shifted copies and matrix products;
elsewhere they are XLA's own operations. Both forms are exact; they differ in the order of summation
alone. `benchmarks/dah_throughput.py` measures those of DAH.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# In which `pointwise` and `conv` can have their factors.
DTYPES = ("float32", "bfloat16")
# Pixels of an image up to which `conv_to_one` multiplies with a matrix; at 28 x 28 shifts win.
_LARGEST_MATRIX = 400
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves each channel with its own kernel, at stride 1, padded to the size of the input.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C], k odd.

    Returns:
      [B, H, W, C].
    """
    return depthwise_shifted(x, kernel) if _on_cpu() else depthwise_xla(x, kernel)


def depthwise_strided(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolves each channel with its own kernel, padded as TensorFlow's "SAME".

    That padding starts later than half of the kernel where the stride is 2.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C].
      stride: Pixels between outputs.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].
    """
    if not _on_cpu():
        return depthwise_strided_xla(x, kernel, stride)
    return depthwise_strided_shifted(x, kernel, stride)


def pointwise(x: jax.Array, kernel: jax.Array, dtype=jnp.float32) -> jax.Array:
    """1 x 1 convolution: a matrix product over the channels.

    Args:
      x: [..., C].
      kernel: [C, F].
      dtype: The factors, those of the gradients included, are rounded to it: float32 or bfloat16.
        Sums are kept in float32.

    Returns:
      float32 [..., F].
    """
    if jnp.dtype(dtype) == jnp.float32:
        return x @ kernel
    return _rounded_product(x, kernel, jnp.dtype(dtype).name)


def conv(x: jax.Array, kernel: jax.Array, dtype=jnp.float32, stride: int = 1) -> jax.Array:
    """Convolution with a small kernel, padded by half of it on every side.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C, F], k odd.
      dtype: As in `pointwise`.
      stride: Pixels between outputs.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), F], float32 if `dtype` is less.
    """
    size = kernel.shape[0]
    if size == 1:
        return pointwise(x[:, ::stride, ::stride], kernel[0, 0], dtype)
    # A convolution of bfloat16 would round its sums to bfloat16 as well.
    if not _on_cpu() and jnp.dtype(dtype) == jnp.float32:
        # Not "SAME", which pads less at the beginning if there is a stride.
        padding = [(size // 2, size // 2)] * 2
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=_DIMENSIONS
        )
    patches = jnp.concatenate(list(_shifted(x, size, stride)), axis=-1)
    return pointwise(patches, kernel.reshape(-1, kernel.shape[-1]), dtype)


def conv_to_one(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution of few channels to a single one, stride 1, padded by half of the kernel.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C], k odd.

    Returns:
      [B, H, W].
    """
    if not _on_cpu():
        return conv(x, kernel[..., None])[..., 0]
    # As large as the square of the image, but the product with it is then the fastest by far.
    if x.shape[1] * x.shape[2] <= _LARGEST_MATRIX:
        return conv_to_one_matrix(x, kernel)
    return depthwise_shifted(x, kernel).sum(-1)


def max_pool(x: jax.Array) -> jax.Array:
    """Maximum over 3 x 3 windows at stride 1, padded (with nothing) to the input's size.

    The gradient goes to one maximum of a window, where several are equal.

    Args:
      x: [B, H, W, C].

    Returns:
      [B, H, W, C].
    """
    if _on_cpu():
        return max_of_three(max_of_three(x, 2), 1)
    return max_pool_xla(x)


def depthwise_xla(x, kernel):
    """`depthwise` as XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (1, 1),
        "SAME",
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def depthwise_strided_xla(x, kernel, stride):
    """`depthwise_strided` as XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def depthwise_strided_shifted(x, kernel, stride):
    """`depthwise_strided` as a sum of shifted products."""
    size, (height, width) = len(kernel), x.shape[1:3]
    padding = []
    for side in (height, width):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        padding.append((total // 2, total - total // 2))
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = -(-height // stride), -(-width // stride)
    total = 0
    for row in range(size):
        for column in range(size):
            part = padded[:, row : row + (rows - 1) * stride + 1 : stride]
            part = part[:, :, column : column + (columns - 1) * stride + 1 : stride]
            total += part * kernel[row, column]
    return total


def max_pool_xla(x):
    """`max_pool` as XLA's windowed reduction."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")


def conv_to_one_matrix(x, kernel):
    """`conv_to_one` as the product with the matrix that has the kernel wherever it may lie."""
    batch, height, width, _ = x.shape
    size = kernel.shape[0]
    # (i, from, to) is 1 where the kernel's i-th row reaches from one row of pixels to the other.
    rows, columns = (
        np.stack([np.eye(side, k=size // 2 - i, dtype=x.dtype) for i in range(size)])
        for side in (height, width)
    )
    matrix = jnp.einsum("iyY,ijc->yYjc", rows, kernel)
    matrix = jnp.einsum("jxX,yYjc->yxcYX", columns, matrix)
    flat = x.reshape(batch, -1) @ matrix.reshape(-1, height * width)
    return flat.reshape(batch, height, width)


@jax.custom_vjp
def depthwise_shifted(x, kernel):
    """`depthwise` as a sum of shifted products; its gradients are such sums as well."""
    size = kernel.shape[0]
    products = [
        part * weight
        for part, weight in zip(
            _shifted(x, size), kernel.reshape(size * size, kernel.shape[-1]), strict=True
        )
    ]
    return functools.reduce(jnp.add, products)


def _depthwise_forward(x, kernel):
    return depthwise_shifted(x, kernel), (x, kernel)


def _depthwise_backward(saved, g):
    x, kernel = saved
    size = kernel.shape[0]

    # Image after image, summed where they lie: XLA's reductions over shifted arrays are slow.
    def add(sums, image_and_g):
        image, g = image_and_g
        parts = _shifted(image[None], size)
        return [total + part[0] * g for total, part in zip(sums, parts, strict=True)], None

    zeros = [jnp.zeros(x.shape[1:], x.dtype)] * (size * size)
    sums, _ = lax.scan(add, zeros, (x, g))
    kernel_gradient = jnp.stack([total.sum((0, 1)) for total in sums]).reshape(kernel.shape)
    return depthwise_shifted(g, kernel[::-1, ::-1]), kernel_gradient


depthwise_shifted.defvjp(_depthwise_forward, _depthwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_of_three(x, axis):
    """The maximum of each value of [B, H, W, C] and its two neighbours along an axis."""
    before, after = _neighbours(x, axis, -jnp.inf)
    return jnp.maximum(jnp.maximum(before, x), after)


def _max_forward(x, axis):
    return max_of_three(x, axis), x


def _max_backward(axis, x, g):
    # The three are compared with each other, not with a stored maximum: XLA may compute `x` anew
    # here, and round it otherwise.
    before, after = _neighbours(x, axis, -jnp.inf)
    from_before = (before >= x) & (before >= after)
    from_itself = ~from_before & (x >= after)
    to_before = jnp.where(from_before, g, 0)
    to_after = jnp.where(from_before | from_itself, 0, g)
    # What the next window gives its value before, and the last one its value after.
    return (
        jnp.where(from_itself, g, 0)
        + _neighbours(to_before, axis, 0)[1]
        + _neighbours(to_after, axis, 0)[0],
    )


max_of_three.defvjp(_max_forward, _max_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rounded_product(x, kernel, dtype):
    return _product_forward(x, kernel, dtype)[0]


def _product_forward(x, kernel, dtype):
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    return _product(x, kernel), (x, kernel)


def _product_backward(dtype, saved, g):
    x, kernel = saved
    g = g.astype(dtype)
    x_gradient = _product(g, _transpose(kernel))
    columns = x.shape[-1]
    kernel_gradient = _product(_transpose(x.reshape(-1, columns)), g.reshape(-1, g.shape[-1]))
    return x_gradient, kernel_gradient


_rounded_product.defvjp(_product_forward, _product_backward)


def _product(x, kernel):
    rows = x.reshape(-1, x.shape[-1])
    product = jnp.matmul(rows, kernel, preferred_element_type=jnp.float32)
    return product.reshape(*x.shape[:-1], kernel.shape[-1])


def _transpose(x):
    """Transposes in memory: XLA's CPU products of transposed bfloat16 are four times slower.

    A plain transposition would be folded into the product, but a concatenation is not; and XLA
    concatenates integers as they are, but bfloat16 by way of float32.
    """
    if not _on_cpu() or len(x) == 1:
        return x.T
    half = len(x) // 2
    bits = lax.bitcast_convert_type(x, jnp.uint16)
    bits = jnp.concatenate([bits[:half].T, bits[half:].T], axis=1)
    return lax.bitcast_convert_type(bits, x.dtype)


def _shifted(x, size, stride=1):
    """The size x size shifted copies of [B, H, W, C], zeros beyond its borders."""
    height, width = x.shape[1:3]
    reach = size // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for row in range(size):
        for column in range(size):
            yield padded[:, row : row + height : stride, column : column + width : stride]


def _neighbours(x, axis, beyond):
    """The values before and after each value along an axis; `beyond` at the ends."""
    widths = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = jnp.pad(x, widths, constant_values=beyond)
    return (
        lax.slice_in_dim(padded, 0, x.shape[axis], axis=axis),
        lax.slice_in_dim(padded, 2, x.shape[axis] + 2, axis=axis),
    )


def _on_cpu():
    return jax.default_backend() == "cpu"
