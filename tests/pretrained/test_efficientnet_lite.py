"""EfficientNet-Lite0 against PyTorch with the same, random weights, and its loader's messages."""

import jax
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional

from jhash import models
from jhash.errors import InputError
from jhash.pretrained import efficientnet_lite

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Kernel, stride, expansion and channels of each block, written out.
BLOCKS = (
    (3, 1, 1, 16),
    *((3, 2, 6, 24), (3, 1, 6, 24)),
    *((5, 2, 6, 40), (5, 1, 6, 40)),
    *((3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)),
    *((5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112)),
    *((5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192)),
    (3, 1, 6, 320),
)


def random_state_dict():
    """The names and shapes of the published file."""
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def conv(name, *shape):
        fan_in = shape[1] * shape[2] * shape[3]
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5

    def norm(name, channels):
        weights[f"{name}.weight"] = 0.8 + 0.4 * torch.rand(channels, generator=generator)
        weights[f"{name}.bias"] = 0.2 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_mean"] = 0.2 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_var"] = 0.8 + 0.4 * torch.rand(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    channels = 32
    for number, (kernel, _, expansion, out) in enumerate(BLOCKS):
        name, wide = f"_blocks.{number}.", expansion * channels
        if expansion > 1:
            conv(f"{name}_expand_conv", wide, channels, 1, 1)
            norm(f"{name}_bn0", wide)
        conv(f"{name}_depthwise_conv", wide, 1, kernel, kernel)
        norm(f"{name}_bn1", wide)
        conv(f"{name}_project_conv", out, wide, 1, 1)
        norm(f"{name}_bn2", out)
        channels = out
    conv("_conv_head", 1280, 320, 1, 1)
    norm("_bn1", 1280)
    weights["_fc.weight"] = torch.randn(1000, 1280, generator=generator) / 36
    weights["_fc.bias"] = torch.randn(1000, generator=generator)
    return weights


def torch_network(weights, x):
    """Features and logits of [B, 3, H, W]."""

    def conv(x, name, stride=1, groups=1):
        weight = weights[f"{name}.weight"]
        padding = []
        for side in x.shape[:1:-1]:  # Width, then height, as functional.pad has them.
            lacking = max((-(-side // stride) - 1) * stride + weight.shape[2] - side, 0)
            padding += [lacking // 2, lacking - lacking // 2]
        return functional.conv2d(functional.pad(x, padding), weight, None, stride, 0, 1, groups)

    def norm(x, name):
        mean, var, scale, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, scale, bias, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for number, (_, stride, expansion, _) in enumerate(BLOCKS):
        name, y = f"_blocks.{number}.", x
        if expansion > 1:
            y = functional.relu6(norm(conv(y, f"{name}_expand_conv"), f"{name}_bn0"))
        y = norm(conv(y, f"{name}_depthwise_conv", stride, y.shape[1]), f"{name}_bn1")
        y = norm(conv(functional.relu6(y), f"{name}_project_conv"), f"{name}_bn2")
        x = x + y if x.shape == y.shape else y
    features = functional.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return features, functional.linear(features, weights["_fc.weight"], weights["_fc.bias"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    weights = random_state_dict()
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(weights, path)
    return weights, path


# An odd side is padded unequally at other places than an even one.
@pytest.mark.slow
@pytest.mark.parametrize("sides", [(64, 64), (45, 38)])
def test_features_and_logits_equal_pytorch_s(saved, sides):
    weights, path = saved
    images = np.random.default_rng(0).integers(0, 256, (2, *sides, 3), np.uint8)
    x = np.float32((images - efficientnet_lite.MEAN) * efficientnet_lite.SCALE)
    with torch.no_grad():
        expected = torch_network(weights, torch.from_numpy(np.array(x)).permute(0, 3, 1, 2))
    params = efficientnet_lite.load(path)
    logits = jax.jit(efficientnet_lite.EfficientNetLite0(1000).apply)({"params": params}, x)
    del params["classes"]
    features = jax.jit(efficientnet_lite.EfficientNetLite0().apply)({"params": params}, x)
    np.testing.assert_allclose(features, expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(logits, expected[1], rtol=1e-3, atol=1e-3)


def test_the_published_weights_know_a_palace():
    path = efficientnet_lite.published()
    image = load_sample_image("china.jpg")[100:324, 200:424]
    x = np.float32((image[None] - efficientnet_lite.MEAN) * efficientnet_lite.SCALE)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    with torch.no_grad():
        expected = torch_network(weights, torch.from_numpy(x).permute(0, 3, 1, 2))[1]
    params = efficientnet_lite.load(path)
    logits = jax.jit(efficientnet_lite.EfficientNetLite0(1000).apply)({"params": params}, x)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert logits.argmax() == 698  # ImageNet's "palace".


def test_the_loader_fits_the_network_and_the_count_is_the_published_one(saved):
    params = efficientnet_lite.load(saved[1])
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    network = efficientnet_lite.EfficientNetLite0(1000)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, shapes)
    # 4,652,008 with BatchNorm's scale and bias of each channel, of which folding keeps one.
    scales = sum(len(leaf) for name, leaf in params.items() if name.endswith("_bias"))
    assert models.count_parameters(params) + scales == 4_652_008


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("_bn1.bias"), "no array _bn1.bias"),
        (
            lambda weights: weights.update({"_fc.bias": torch.ones(10)}),
            r"_fc.bias has shape \(10,\)",
        ),
        (
            lambda weights: weights.update({"more": torch.ones(1)}),
            "it has more, which EfficientNet-Lite0 has not",
        ),
    ],
)
def test_other_weights_are_refused(saved, tmp_path, change, message):
    weights = dict(saved[0])
    change(weights)
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(InputError, match=message):
        efficientnet_lite.load(tmp_path / "other.pth")
