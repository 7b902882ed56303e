"""CBAM against PyTorch modules of the same weights, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jhash.errors import InputError
from jhash.models.invertible_net import InvertibleNet
from jhash.models.layers import attention
from jhash.models.layers.attention import CBAM, ChannelAttention, SpatialAttention, mean_and_max
from tests.support import torch_resnet30 as reference
from tests.support.quick import quick_jit

CHANNELS = 12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChannelAttention(1), reference.ChannelAttention(CHANNELS, 1)),
        (ChannelAttention(4), reference.ChannelAttention(CHANNELS, 4)),
        (ChannelAttention(5), reference.ChannelAttention(CHANNELS, 5)),
        (ChannelAttention(12), reference.ChannelAttention(CHANNELS, 12)),
        (SpatialAttention(), reference.SpatialAttention()),
        (CBAM(3), reference.CBAM(CHANNELS, 3)),
    ],
    ids=["channel-1", "channel-4", "channel-5", "channel-12", "spatial", "cbam"],
)
@pytest.mark.parametrize("image", [(5, 9), (1, 2)])
def test_outputs_and_gradients_are_pytorchs(ours, theirs, image):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, *image, CHANNELS))
    shapes = jax.eval_shape(ours.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)["params"]

    other = reference.to_torch(x)
    module = reference.load(theirs, {"params": params})
    module.zero_grad()
    y = module(other)
    (y * reference.to_torch(weight)).sum().backward()

    def loss(params, x):
        y = ours.apply({"params": params}, x)
        return jnp.sum(y * weight), y

    with jax.enable_x64(True):
        (_, found), (gradient, x_gradient) = quick_jit(
            jax.value_and_grad(loss, (0, 1), has_aux=True)
        )(params, x)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, reference.from_torch(y), rtol=0, atol=1e-12)
    np.testing.assert_allclose(x_gradient, reference.from_torch(other.grad), rtol=0, atol=1e-11)
    expected, gradient = reference.gradients(module), reference.named(gradient)
    assert gradient.keys() == expected.keys()
    for name, value in gradient.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-11, err_msg=name)


def test_other_kernels_of_spatial_attention():
    """They are not divided, and start as zeros or as PyTorch's; AIHN's model passes the name on."""
    x = np.random.default_rng(0).normal(size=(2, 5, 4, CHANNELS)).astype(np.float32)
    starts = {
        kernel: SpatialAttention(kernel).init(jax.random.key(0), x)["params"]
        for kernel in attention.KERNELS
    }
    assert not np.any(starts["scaled"]["conv_scaled"])
    assert not np.any(starts["zeros"]["conv"])
    random = starts["random"]["conv"]
    bound = torch.nn.Conv2d(2, 1, 7).weight.abs().max().item()  # Up to 1 / sqrt(98).
    assert np.abs(random).max() == pytest.approx(bound, rel=0.1)
    found = SpatialAttention("zeros").apply({"params": {"conv": random}}, x)
    scaled = {"conv_scaled": np.sqrt(98).astype(np.float32) * random}
    np.testing.assert_allclose(found, SpatialAttention().apply({"params": scaled}, x), rtol=1e-5)
    model = InvertibleNet(8, stages=(1,), attention_kernel="random")
    shapes = jax.eval_shape(
        functools.partial(model.init, train=False), jax.random.key(0), jnp.ones((1, 4, 4, 3))
    )
    assert list(shapes["params"]["stage_1"]["first"]["attention_0"]) == ["conv"]


@pytest.mark.parametrize("axes", [(1, 2), (3,)])
@pytest.mark.parametrize("values", [1, 3, 1000])
def test_mean_and_maximum_share_gradients_as_pytorchs(axes, values):
    """With many ties, few and none; an image of one value is a tie of all its pixels."""
    rng = np.random.default_rng(2)
    x = rng.integers(-values, 0, (2, 5, 3, 4)).astype(np.float64)
    other = torch.tensor(x, requires_grad=True)
    mean, largest = other.mean(axes), other.amax(axes)
    weights = rng.normal(size=(2, *mean.shape))
    (mean * torch.tensor(weights[0]) + largest * torch.tensor(weights[1])).sum().backward()

    def run(x, *weights):
        found, pull = jax.vjp(lambda x: mean_and_max(x, axes), x)
        return found, pull(weights)

    with jax.enable_x64(True):
        found, (gradient,) = quick_jit(run)(x, *weights)
    np.testing.assert_allclose(found[0], mean.detach().numpy(), rtol=1e-14)
    np.testing.assert_array_equal(found[1], largest.detach().numpy())
    np.testing.assert_allclose(gradient, other.grad.numpy(), rtol=0, atol=1e-14)


def test_float32_stays_within_rounding():
    x = np.random.default_rng(1).normal(size=(2, 6, 5, CHANNELS)).astype(np.float32)
    variables = quick_jit(CBAM(4).init)(jax.random.key(0), x)
    module = reference.load(reference.CBAM(CHANNELS, 4), variables)
    found = quick_jit(CBAM(4).apply)(variables, x)
    assert found.dtype == jnp.float32
    with torch.no_grad():
        expected = reference.from_torch(module(reference.to_torch(x).double()))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_reduction_is_16_unless_given():
    params = jax.eval_shape(CBAM().init, jax.random.key(0), jnp.ones((1, 4, 4, 64)))["params"]
    assert params["channel"]["hidden"]["kernel"].shape == (64, 4)


@pytest.mark.parametrize("reduction", [0, -1, CHANNELS + 1])
@pytest.mark.parametrize("module", [ChannelAttention, CBAM])
def test_reduction_that_leaves_no_hidden_unit(module, reduction):
    with pytest.raises(
        InputError, match=rf"^reduction: {reduction} given; allowed: 1 to {CHANNELS},"
    ):
        jax.eval_shape(module(reduction).init, jax.random.key(0), jnp.ones((1, 4, 4, CHANNELS)))
