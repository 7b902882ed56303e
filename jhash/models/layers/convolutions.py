"""Convolutions and pooling, each in the form that the platform is fast at.

XLA's CPU backend is slow at some of its own operations. A depthwise convolution takes 9 to 23 times
as long as the same sum written as shifted products. A 7 x 7 convolution of two channels to one, at
8 x 8 pixels, takes 11 to 19 times as long as the product with a matrix that computes the same. The
gradient of a pooling window is slow, too. So on a CPU these functions are sums over shifted copies
and matrix products; elsewhere they are XLA's own operations. `jhash.forms` decides. In float32 both
forms differ in the order of summation alone. `benchmarks/dah_throughput.py` measures the operations
of DAH.

Shapes in names: B images, H rows and W columns of pixels, C channels, F output channels, K the side
of a kernel, N rows of a matrix.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash import forms

# Types to which `pointwise` and `conv` can round their factors.
DTYPES = ("float32", "bfloat16")
# Pixels of an image up to which `conv_to_one` multiplies with a matrix; at 28 x 28 shifted products
# are faster.
_MAX_MATRIX_PIXELS = 400
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Types as which numbers are copied, by their bytes: XLA's CPU backend copies bfloat16 by way of
# float32.
_INTEGERS = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}


def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves each channel with its own kernel, at stride 1, padded to the size of the input.

    Args:
      x: Images, [B, H, W, C].
      kernel: Kernels of odd side, [K, K, C].

    Returns:
      [B, H, W, C].
    """
    return depthwise_shifted(x, kernel) if forms.for_cpu() else depthwise_xla(x, kernel)


def depthwise_strided(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolves each channel with its own kernel, padded as TensorFlow's "SAME".

    That padding is as small as possible, and the larger half of it is at the end. So at stride 2
    and an even side there is less of it at the beginning than half of the kernel.

    Args:
      x: Images, [B, H, W, C].
      kernel: Kernels, [K, K, C].
      stride: Pixels between outputs.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].
    """
    if not forms.for_cpu():
        return depthwise_strided_xla(x, kernel, stride)
    return depthwise_strided_shifted(x, kernel, stride)


def pointwise(x: jax.Array, kernel: jax.Array, dtype=jnp.float32) -> jax.Array:
    """Convolves with a 1 x 1 kernel, which is a matrix product over the channels.

    Args:
      x: float32 [..., C].
      kernel: float32 [C, F].
      dtype: Type to which the factors, those of the gradients included, are rounded: float32 or
        bfloat16. Sums are float32 in either case.

    Returns:
      float32 [..., F].
    """
    if jnp.dtype(dtype) == jnp.float32:
        return x @ kernel
    return _rounded_product(x, kernel, jnp.dtype(dtype).name)


def conv(x: jax.Array, kernel: jax.Array, dtype=jnp.float32, stride: int = 1) -> jax.Array:
    """Convolves with a small kernel, padded by half of the kernel on every side.

    Args:
      x: Images, [B, H, W, C].
      kernel: Kernel of odd side, [K, K, C, F].
      dtype: Type to which the factors are rounded, as in `pointwise`. An accelerator rounds the
        sums of kernels larger than 1 x 1 to it as well, once they are complete: its fast
        convolutions of bfloat16 add in float32 and return bfloat16.
      stride: Pixels between outputs.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), F]; float32 if the factors are rounded to less.
    """
    size = kernel.shape[0]
    if size == 1:
        return pointwise(x[:, ::stride, ::stride], kernel[0, 0], dtype)
    if not forms.for_cpu():
        # Not "SAME", which may pad less at the beginning if there is a stride.
        padding = [(size // 2, size // 2)] * 2
        factors = (x, kernel) if jnp.dtype(dtype) == jnp.float32 else _rounded(dtype, x, kernel)
        sums = lax.conv_general_dilated(
            *factors, (stride, stride), padding, dimension_numbers=_DIMENSIONS
        )
        return sums.astype(jnp.promote_types(sums.dtype, jnp.float32))
    if stride == 1:
        rounded = x.dtype if jnp.dtype(dtype) == jnp.float32 else jnp.dtype(dtype)
        return conv_rows(x, kernel, rounded.name)
    patches_BxHxWxKKC = jnp.concatenate(list(_shifted(x, size, stride)), axis=-1)
    return pointwise(patches_BxHxWxKKC, kernel.reshape(-1, kernel.shape[-1]), dtype)


def conv_to_one(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves few channels to a single one, at stride 1, padded by half of the kernel.

    Args:
      x: Images, [B, H, W, C].
      kernel: Kernel of odd side, [K, K, C].

    Returns:
      [B, H, W].
    """
    if not forms.for_cpu():
        return conv(x, kernel[..., None])[..., 0]
    # The matrix has H W C rows and H W columns. For small images its product is the fastest by far.
    if x.shape[1] * x.shape[2] <= _MAX_MATRIX_PIXELS:
        return conv_to_one_matrix(x, kernel)
    return depthwise_shifted(x, kernel).sum(-1)


def max_pool(x: jax.Array) -> jax.Array:
    """Takes the maximum of 3 x 3 windows at stride 1, padded to the size of the input.

    The padding is never a maximum. Where several values of a window are the maximum, the gradient
    goes to one of them.

    Args:
      x: Images, [B, H, W, C].

    Returns:
      [B, H, W, C].
    """
    if forms.for_cpu():
        return max_of_three(max_of_three(x, 2), 1)
    return max_pool_xla(x)


def depthwise_xla(x, kernel):
    """Computes `depthwise` as XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (1, 1),
        "SAME",
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def depthwise_strided_xla(x, kernel, stride):
    """Computes `depthwise_strided` as XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def depthwise_strided_shifted(x, kernel, stride):
    """Computes `depthwise_strided` as a sum of shifted products."""
    size = len(kernel)
    # "SAME" gives ceil(side / stride) outputs, the last of which may need pixels beyond the image.
    reaches, padding = [], []
    for side in x.shape[1:3]:
        outputs = -(-side // stride)
        reach = (outputs - 1) * stride + 1
        lacking = max(reach - 1 + size - side, 0)
        reaches.append(reach)
        padding.append((lacking // 2, lacking - lacking // 2))
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    # The weight at (row, column) multiplies every stride-th pixel from (row, column) on.
    height, width = reaches
    total = 0
    for row in range(size):
        for column in range(size):
            pixels = padded[:, row : row + height : stride]
            pixels = pixels[:, :, column : column + width : stride]
            total += pixels * kernel[row, column]
    return total


def max_pool_xla(x):
    """Computes `max_pool` as XLA's windowed reduction."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")


def conv_to_one_matrix(x, kernel):
    """Computes `conv_to_one` as the product with a matrix that holds the kernel at every pixel."""
    batch, height, width, _ = x.shape
    rows_KxHxH = _reach(kernel.shape[0], height, x.dtype)
    columns_KxWxW = _reach(kernel.shape[0], width, x.dtype)
    # Lower case is a pixel of the input (row y, column x), upper case one of the output (Y, X).
    matrix_HxHxKxC = jnp.einsum("iyY,ijc->yYjc", rows_KxHxH, kernel)
    matrix_HxWxCxHxW = jnp.einsum("jxX,yYjc->yxcYX", columns_KxWxW, matrix_HxHxKxC)
    flat_BxHW = x.reshape(batch, -1) @ matrix_HxWxCxHxW.reshape(-1, height * width)
    return flat_BxHW.reshape(batch, height, width)


def _reach(size, side, dtype):
    """(i, from, to) is 1 where the i-th row of a kernel takes row `from` into output row `to`."""
    return np.stack([np.eye(side, k=size // 2 - i, dtype=dtype) for i in range(size)])


@jax.custom_vjp
def depthwise_shifted(x, kernel):
    """Computes `depthwise` as a sum of shifted products; its gradients are such sums as well."""
    size = kernel.shape[0]
    weights_KKxC = kernel.reshape(size * size, kernel.shape[-1])
    products = [
        shifted * weight_C
        for shifted, weight_C in zip(_shifted(x, size), weights_KKxC, strict=True)
    ]
    return functools.reduce(jnp.add, products)


def _depthwise_forward(x, kernel):
    return depthwise_shifted(x, kernel), (x, kernel)


def _depthwise_backward(saved, g):
    x, kernel = saved
    size = kernel.shape[0]

    # Each weight's gradient is summed over the images first, pixel by pixel, and over the pixels
    # last: XLA's reductions over shifted arrays are slow.
    def add(sums, image_and_gradient):
        image_HxWxC, g_HxWxC = image_and_gradient
        copies = _shifted(image_HxWxC[None], size)
        return [total + copy[0] * g_HxWxC for total, copy in zip(sums, copies, strict=True)], None

    zeros = [jnp.zeros(x.shape[1:], x.dtype)] * (size * size)
    sums, _ = lax.scan(add, zeros, (x, g))
    kernel_gradient = jnp.stack([total.sum((0, 1)) for total in sums]).reshape(kernel.shape)
    return depthwise_shifted(g, kernel[::-1, ::-1]), kernel_gradient


depthwise_shifted.defvjp(_depthwise_forward, _depthwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_of_three(x, axis):
    """Takes the maximum of each value of [B, H, W, C] and its two neighbors along an axis."""
    before, after = _neighbors(x, axis, -jnp.inf)
    return jnp.maximum(jnp.maximum(before, x), after)


def _max_forward(x, axis):
    return max_of_three(x, axis), x


def _max_backward(axis, x, g):
    # The three values are compared with each other, not with a stored maximum: XLA may compute `x`
    # again here and round it differently.
    before, after = _neighbors(x, axis, -jnp.inf)
    from_before = (before >= x) & (before >= after)
    from_itself = ~from_before & (x >= after)
    to_before = jnp.where(from_before, g, 0)
    to_after = jnp.where(from_before | from_itself, 0, g)
    # A value belongs to three windows. It gets the gradient of its own window where it is the
    # maximum, of the next window where that one's maximum is before its middle, and of the previous
    # window where that one's maximum is after its middle.
    return (
        jnp.where(from_itself, g, 0)
        + _neighbors(to_before, axis, 0)[1]
        + _neighbors(to_after, axis, 0)[0],
    )


max_of_three.defvjp(_max_forward, _max_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rounded_product(x, kernel, dtype):
    """Multiplies factors that are rounded to `dtype`, as those of its gradients are."""
    return _product_forward(x, kernel, dtype)[0]


def _product_forward(x, kernel, dtype):
    x, kernel = _rounded(dtype, x, kernel)
    return _product(x, kernel), (x, kernel)


def _product_backward(dtype, saved, g):
    x, kernel = saved
    g = g.astype(dtype)
    x_gradient = _product(g, _transpose(kernel))
    x_NxC = x.reshape(-1, x.shape[-1])
    kernel_gradient = _product(_transpose(x_NxC), g.reshape(-1, g.shape[-1]))
    return x_gradient, kernel_gradient


_rounded_product.defvjp(_product_forward, _product_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_rows(x, kernel, dtype):
    """Computes `conv` at stride 1 as a sum of matrix products, one per row of the kernel.

    A row of patches is K times as large as the image, where whole patches are K^2 times as large.
    The rows of pixels come first in memory, so that the products read it without a copy for each.
    """
    return _rows_forward(x, kernel, dtype)[0]


def _rows_forward(x, kernel, dtype):
    x_HxBxWxC = x.transpose(1, 0, 2, 3).astype(dtype)
    y_HxBxWxF = _sum_of_rows(x_HxBxWxC, kernel.astype(dtype))
    return y_HxBxWxF.transpose(1, 0, 2, 3), (x_HxBxWxC, kernel)


def _rows_backward(dtype, saved, g):
    x_HxBxWxC, kernel = saved
    size = len(kernel)
    g_HxBxWxF = g.transpose(1, 0, 2, 3).astype(dtype)
    reverse = kernel[::-1, ::-1].transpose(0, 1, 3, 2).astype(dtype)
    x_gradient = _sum_of_rows(g_HxBxWxF, reverse).transpose(1, 0, 2, 3)
    height, batch, width, outputs = g_HxBxWxF.shape
    patches = _row_patches(x_HxBxWxC, size)
    patches_KCxN = _transpose(patches.reshape(-1, patches.shape[-1]))
    g_NxF = g_HxBxWxF.reshape(-1, outputs)
    row = batch * width
    products = [_product(patches_KCxN[:, i * row : (i + height) * row], g_NxF) for i in range(size)]
    return x_gradient, jnp.stack(products).reshape(kernel.shape)


conv_rows.defvjp(_rows_forward, _rows_backward)


def _sum_of_rows(x_HxBxWxC, kernel):
    """Convolves [H, B, W, C] with [K, K, C, F] to float32 [H, B, W, F]."""
    height, batch, width, _ = x_HxBxWxC.shape
    size, outputs = len(kernel), kernel.shape[-1]
    patches = _row_patches(x_HxBxWxC, size)
    kernel_KxKCxF = kernel.reshape(size, -1, outputs)
    products = [_product(patches[i : i + height], kernel_KxKCxF[i]) for i in range(size)]
    return functools.reduce(jnp.add, products).reshape(height, batch, width, outputs)


def _row_patches(x_HxBxWxC, size):
    """Returns the pixels of each row of a patch, [H + K - 1, B * W, K * C]."""
    height, batch, width, channels = x_HxBxWxC.shape
    reach = size // 2
    bits = lax.bitcast_convert_type(x_HxBxWxC, _INTEGERS[x_HxBxWxC.dtype.itemsize])
    bits = jnp.pad(bits, ((reach, reach), (0, 0), (reach, reach), (0, 0)))
    bits = jnp.concatenate([bits[:, :, i : i + width] for i in range(size)], axis=-1)
    patches = lax.bitcast_convert_type(bits, x_HxBxWxC.dtype)
    return patches.reshape(height + size - 1, batch * width, size * channels)


def _rounded(dtype, *arrays):
    return [array.astype(dtype) for array in arrays]


def _product(x, kernel):
    """Multiplies [..., C] with [C, F] to [..., F], float32 or wider."""
    x_NxC = x.reshape(-1, x.shape[-1])
    wide = jnp.promote_types(x.dtype, jnp.float32)
    product_NxF = jnp.matmul(x_NxC, kernel, preferred_element_type=wide)
    return product_NxF.reshape(*x.shape[:-1], kernel.shape[-1])


def _transpose(x):
    """Transposes in memory.

    XLA's CPU backend multiplies a transposed bfloat16 matrix four times slower. It would fold a
    plain transposition into the product, but not a concatenation.
    """
    if not forms.for_cpu() or len(x) == 1:
        return x.T
    half = len(x) // 2
    bits = lax.bitcast_convert_type(x, _INTEGERS[x.dtype.itemsize])
    bits = jnp.concatenate([bits[:half].T, bits[half:].T], axis=1)
    return lax.bitcast_convert_type(bits, x.dtype)


def _shifted(x, size, stride=1):
    """Yields the size x size shifted copies of [B, H, W, C], with zeros beyond the borders."""
    height, width = x.shape[1:3]
    reach = size // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for row in range(size):
        for column in range(size):
            yield padded[:, row : row + height : stride, column : column + width : stride]


def _neighbors(x, axis, beyond):
    """Returns the values before and after each value along an axis; `beyond` at the ends."""
    widths = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = jnp.pad(x, widths, constant_values=beyond)
    return (
        lax.slice_in_dim(padded, 0, x.shape[axis], axis=axis),
        lax.slice_in_dim(padded, 2, x.shape[axis] + 2, axis=axis),
    )
