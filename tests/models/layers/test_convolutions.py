"""Both forms of every operation, whatever the platform, against PyTorch in float64 and NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from jhash import forms
from jhash.models.layers import convolutions
from tests.support.quick import quick_jit

EPSILON = 2.0**-24  # Half a unit in the last place of float32, relative.


@pytest.fixture(params=["cpu", "accelerator"])
def platform(request):
    with forms.use(request.param):
        yield request.param


def values_and_gradients(function, arguments, weight):
    """The function's value and the gradients of its sum, weighted, all float64 NumPy."""

    def run(*arguments):
        y, gradient = jax.vjp(function, *arguments)
        return y, *gradient(weight)

    return [np.asarray(found, np.float64) for found in quick_jit(run)(*arguments)]


def to_torch(x):
    """[B, H, W, C] -> a leaf [B, C, H, W]."""
    return torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)


def from_torch(x):
    return x.detach().numpy().transpose(0, 2, 3, 1)


def random(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def assert_is_pytorchs(ours, theirs, x, kernel, weight):
    """Values and the gradients of input and kernel, in float64."""
    other, other_kernel = to_torch(x), torch.tensor(kernel, requires_grad=True)
    y = theirs(other, other_kernel)
    y.backward(torch.tensor(weight.transpose(0, 3, 1, 2)))
    with jax.enable_x64(True):
        found = values_and_gradients(ours, (x, kernel), weight)
    expected = from_torch(y), from_torch(other.grad), other_kernel.grad.numpy()
    for value, correct in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, correct, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "image"),
    [(1, (7, 5)), (3, (7, 5)), (5, (2, 6)), (7, (7, 5)), (3, (1, 1))],
)
def test_depthwise_is_pytorchs(platform, size, image):
    x, kernel, weight = random((2, *image, 3), (size, size, 3), (2, *image, 3))

    def theirs(x, kernel):
        return functional.conv2d(x, kernel.permute(2, 0, 1)[:, None], padding=size // 2, groups=3)

    assert_is_pytorchs(convolutions.depthwise, theirs, x, kernel, weight)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("image", [(8, 6), (7, 5), (6, 9), (1, 2)])
@pytest.mark.parametrize("form", ["depthwise_strided_xla", "depthwise_strided_shifted"])
def test_depthwise_strided_is_pytorchs(form, image, size, stride):
    """TensorFlow's "SAME" written out: as little padding as possible, an odd pixel at the end."""
    rows, columns = (-(-side // stride) for side in image)
    x, kernel, weight = random((2, *image, 3), (size, size, 3), (2, rows, columns, 3))
    padding = []
    for side, outputs in ((image[1], columns), (image[0], rows)):  # PyTorch pads the width first.
        lacking = max((outputs - 1) * stride + size - side, 0)
        padding += [lacking // 2, lacking - lacking // 2]

    def ours(x, kernel):
        return getattr(convolutions, form)(x, kernel, stride)

    def theirs(x, kernel):
        weights = kernel.permute(2, 0, 1)[:, None]
        return functional.conv2d(functional.pad(x, padding), weights, stride=stride, groups=3)

    assert_is_pytorchs(ours, theirs, x, kernel, weight)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "image"), [(3, (7, 5)), (5, (4, 6)), (3, (1, 2))])
def test_conv_is_pytorchs(platform, channels, size, image):
    x, kernel, weight = random((2, *image, channels), (size, size, channels, 4), (2, *image, 4))

    def theirs(x, kernel):
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), padding=size // 2)

    assert_is_pytorchs(convolutions.conv, theirs, x, kernel, weight)


@pytest.mark.parametrize(("size", "image"), [(7, (8, 5)), (7, (2, 2)), (3, (21, 23)), (1, (3, 3))])
def test_conv_to_one_is_pytorchs(platform, size, image):
    x, kernel, weight = random((2, *image, 2), (size, size, 2), (2, *image, 1))

    def ours(x, kernel):
        return convolutions.conv_to_one(x, kernel)[..., None]

    def theirs(x, kernel):
        return functional.conv2d(x, kernel.permute(2, 0, 1)[None].contiguous(), padding=size // 2)

    assert_is_pytorchs(ours, theirs, x, kernel, weight)


@pytest.mark.parametrize(("size", "image"), [(3, (8, 6)), (3, (7, 5)), (1, (6, 4))])
def test_conv_with_a_stride_is_pytorchs(platform, size, image):
    rows, columns = (-(-side // 2) for side in image)
    x, kernel, weight = random((2, *image, 3), (size, size, 3, 4), (2, rows, columns, 4))

    def theirs(x, kernel):
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), stride=2, padding=size // 2)

    assert_is_pytorchs(functools.partial(convolutions.conv, stride=2), theirs, x, kernel, weight)


@pytest.mark.parametrize("image", [(7, 5), (1, 4), (2, 2), (1, 1)])
@pytest.mark.parametrize("offset", [0, -10])
def test_max_pool_is_pytorchs(platform, image, offset):
    x, weight = random((2, *image, 3), (2, *image, 3))
    x = x + offset  # All negative: zeros at the border would be the maxima there.
    other = to_torch(x)
    y = functional.max_pool2d(other, 3, 1, 1)
    y.backward(torch.tensor(weight.transpose(0, 3, 1, 2)))
    with jax.enable_x64(True):
        found, gradient = values_and_gradients(convolutions.max_pool, (x,), weight)
    np.testing.assert_array_equal(found, from_torch(y))
    np.testing.assert_allclose(gradient, from_torch(other.grad), rtol=0, atol=1e-14)


def test_max_pool_of_positive_values_is_the_papers_with_zero_padding(platform):
    """Table 1 pads with zeros to 34 x 34; after a ReLU that is to pad with nothing."""
    x = np.maximum(random((1, 32, 32, 4))[0], 0).astype(np.float32)
    padded = functional.pad(to_torch(x), (1, 1, 1, 1))
    assert padded.shape == (1, 4, 34, 34)
    expected = from_torch(functional.max_pool2d(padded, 3, 1))
    np.testing.assert_array_equal(quick_jit(convolutions.max_pool)(x), expected)


@pytest.mark.parametrize("values", [1, 2, 4])
def test_max_pool_gives_the_gradient_of_a_window_to_one_of_its_maxima(platform, values):
    height, width = 6, 5
    x = np.random.default_rng(0).integers(-values, 0, (1, height, width, 1)).astype(np.float32)
    windows = np.eye(height * width, dtype=np.float32).reshape(-1, *x.shape)

    def gradients(x, windows):
        pull = jax.vjp(convolutions.max_pool, x)[1]
        return jax.lax.map(lambda g: pull(g)[0], windows)

    found = np.asarray(quick_jit(gradients)(x, windows))[..., 0].reshape(-1, height, width)
    for window, gradient in enumerate(found):
        (row,), (column,) = np.nonzero(gradient)
        assert gradient[row, column] == 1
        middle = divmod(window, width)
        assert abs(row - middle[0]) <= 1
        assert abs(column - middle[1]) <= 1
        above, before = max(middle[0] - 1, 0), max(middle[1] - 1, 0)
        around = x[0, above : middle[0] + 2, before : middle[1] + 2, 0]
        assert x[0, row, column, 0] == around.max()


def test_max_pool_keeps_the_sum_of_the_gradient(platform):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(3, 6, 9, 4)), 0)
    weight = rng.normal(size=x.shape)
    with jax.enable_x64(True):
        _, gradient = values_and_gradients(convolutions.max_pool, (x,), weight)
    np.testing.assert_allclose(gradient.sum((1, 2)), weight.sum((1, 2)), rtol=0, atol=1e-12)


def test_platform_chooses_the_form(platform):
    x, kernel, full = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2)), jnp.ones((3, 3, 2, 5))
    strided = functools.partial(convolutions.depthwise_strided, stride=2)
    for function, arguments, operation in (
        (convolutions.depthwise, (x, kernel), "conv_general_dilated"),
        (strided, (x, kernel), "conv_general_dilated"),
        (convolutions.conv, (x, full), "conv_general_dilated"),
        (convolutions.max_pool, (x,), "reduce_window"),
    ):
        traced = str(jax.make_jaxpr(lambda *a, function=function: function(*a))(*arguments))
        assert (operation in traced) == (platform == "accelerator")


def test_a_cpu_gets_shifted_sums_and_another_form_ends_with_its_block():
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2))

    def convolved():
        return "conv_general_dilated" in str(
            jax.make_jaxpr(lambda *a: convolutions.depthwise(*a))(x, kernel)
        )

    assert not convolved()
    with forms.use("accelerator"):
        assert convolved()
    assert not convolved()


def rounded(x, dtype):
    return np.asarray(jnp.asarray(x, jnp.float32).astype(dtype), np.float64)


def assert_sum_in_float32(found, a, b):
    """Checks a product of float64 [R, S] and [S, T] up to rounding of sums of S in float32."""
    bound = a.shape[1] * EPSILON * (np.abs(a) @ np.abs(b))
    assert (np.abs(found.reshape(bound.shape) - a @ b) <= bound).all()


# (rows, C, F): few and odd counts, then those of ResNet30 at 28 x 28 and 32 x 32.
SHAPES = [
    ((1,), 5, 3),
    ((2,), 7, 1),
    ((3,), 1, 4),
    ((3, 5, 3), 6, 10),
    ((2, 28, 28), 9, 64),
    ((2, 4, 4), 1024, 256),
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "columns", "features"), SHAPES)
def test_pointwise_rounds_the_factors_alone(platform, dtype, rows, columns, features):
    x, kernel, g = (
        a.astype(np.float32)
        for a in random((*rows, columns), (columns, features), (*rows, features))
    )
    product = functools.partial(convolutions.pointwise, dtype=dtype)
    assert jax.eval_shape(product, x, kernel).dtype == jnp.float32
    y, x_gradient, kernel_gradient = values_and_gradients(product, (x, kernel), g)
    a, b, g = (rounded(v.reshape(-1, v.shape[-1]), dtype) for v in (x, kernel, g))
    assert y.shape == (*rows, features)
    assert x_gradient.shape == x.shape
    assert_sum_in_float32(y, a, b)
    assert_sum_in_float32(x_gradient, g, b.T)
    assert_sum_in_float32(kernel_gradient, a.T, g)


def test_bfloat16_conv_rounds_the_factors_and_off_the_cpu_the_sums(platform):
    x, kernel, g = (a.astype(np.float32) for a in random((2, 7, 5, 3), (3, 3, 3, 8), (2, 7, 5, 8)))
    conv = functools.partial(convolutions.conv, dtype="bfloat16")
    assert jax.eval_shape(conv, x, kernel).dtype == jnp.float32
    traced = str(jax.make_jaxpr(conv)(x, kernel))
    assert ("conv_general_dilated" in traced) == (platform == "accelerator")
    found = values_and_gradients(conv, (x, kernel), g)
    x, kernel, g = (rounded(v, "bfloat16") for v in (x, kernel, g))
    other, other_kernel = to_torch(x), torch.tensor(kernel, requires_grad=True)
    y = functional.conv2d(other, other_kernel.permute(3, 2, 0, 1), padding=1)
    y.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
    expected = from_torch(y), from_torch(other.grad), other_kernel.grad.numpy()
    rtol = 0 if platform == "cpu" else 2.0**-8
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol, atol=3e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mapped", [jax.vmap, jax.pmap])
def test_all_of_them_under_a_map(mapped):
    """Eight devices, or eight elements, as one after the other."""
    x, depthwise, pointwise = (
        jnp.asarray(a, jnp.float32) for a in random((8, 1, 3, 2, 2), (3, 3, 2), (2, 5))
    )

    def loss(x, depthwise, pointwise):
        y = convolutions.max_pool(convolutions.depthwise(x, depthwise))
        return jnp.sum(jnp.sin(convolutions.pointwise(y, pointwise, "bfloat16")))

    gradients = jax.value_and_grad(loss, (0, 1, 2))
    every = mapped(gradients, in_axes=(0, None, None))
    found = (quick_jit(every) if mapped is jax.vmap else every)(x, depthwise, pointwise)
    single = quick_jit(gradients)
    for i in range(8):
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-5),
            found,
            single(x[i], depthwise, pointwise),
        )
