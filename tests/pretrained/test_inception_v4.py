"""Inception-v4 against PyTorch with the same, random weights, and its loader's messages."""

import jax
import numpy as np
import pytest
import torch
from torch import nn

from jhash import models
from jhash.errors import InputError
from jhash.pretrained import inception_v4

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Conv(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Cat(nn.Module):
    """Named branches of the same input, one after another."""

    def __init__(self, **branches):
        super().__init__()
        self.names = list(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x):
        return torch.cat([getattr(self, name)(x) for name in self.names], 1)


class Fork(nn.Module):
    """Inception-C."""

    def __init__(self):
        super().__init__()
        self.branch0 = Conv(1536, 256, 1)
        self.branch1_0 = Conv(1536, 384, 1)
        self.branch1_1a = Conv(384, 256, (1, 3), 1, (0, 1))
        self.branch1_1b = Conv(384, 256, (3, 1), 1, (1, 0))
        self.branch2_0 = Conv(1536, 384, 1)
        self.branch2_1 = Conv(384, 448, (3, 1), 1, (1, 0))
        self.branch2_2 = Conv(448, 512, (1, 3), 1, (0, 1))
        self.branch2_3a = Conv(512, 256, (1, 3), 1, (0, 1))
        self.branch2_3b = Conv(512, 256, (3, 1), 1, (1, 0))
        self.branch3 = nn.Sequential(average(), Conv(1536, 256, 1))

    def forward(self, x):
        first = self.branch1_0(x)
        second = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        parts = [self.branch0(x), self.branch1_1a(first), self.branch1_1b(first)]
        parts += [self.branch2_3a(second), self.branch2_3b(second), self.branch3(x)]
        return torch.cat(parts, 1)


def average():
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def wide(inputs, outputs):
    return Conv(inputs, outputs, (1, 7), 1, (0, 3))


def high(inputs, outputs):
    return Conv(inputs, outputs, (7, 1), 1, (3, 0))


def inception_a():
    return Cat(
        branch0=Conv(384, 96, 1),
        branch1=nn.Sequential(Conv(384, 64, 1), Conv(64, 96, 3, 1, 1)),
        branch2=nn.Sequential(Conv(384, 64, 1), Conv(64, 96, 3, 1, 1), Conv(96, 96, 3, 1, 1)),
        branch3=nn.Sequential(average(), Conv(384, 96, 1)),
    )


def inception_b():
    second = [Conv(1024, 192, 1), high(192, 192), wide(192, 224), high(224, 224), wide(224, 256)]
    return Cat(
        branch0=Conv(1024, 384, 1),
        branch1=nn.Sequential(Conv(1024, 192, 1), wide(192, 224), high(224, 256)),
        branch2=nn.Sequential(*second),
        branch3=nn.Sequential(average(), Conv(1024, 128, 1)),
    )


def network():
    """The layers in the order, and with the names, of the published file."""
    forth = [Conv(160, 64, 1), wide(64, 64), high(64, 64), Conv(64, 96, 3)]
    reduction_a = [Conv(384, 192, 1), Conv(192, 224, 3, 1, 1), Conv(224, 256, 3, 2)]
    reduction_b = [Conv(1024, 256, 1), wide(256, 256), high(256, 320), Conv(320, 320, 3, 2)]
    layers = [
        *(Conv(3, 32, 3, 2), Conv(32, 32, 3), Conv(32, 64, 3, 1, 1)),
        Cat(maxpool=nn.MaxPool2d(3, 2), conv=Conv(64, 96, 3, 2)),
        Cat(
            branch0=nn.Sequential(Conv(160, 64, 1), Conv(64, 96, 3)), branch1=nn.Sequential(*forth)
        ),
        Cat(conv=Conv(192, 192, 3, 2), maxpool=nn.MaxPool2d(3, 2)),
        *(inception_a() for _ in range(4)),
        Cat(
            branch0=Conv(384, 384, 3, 2),
            branch1=nn.Sequential(*reduction_a),
            branch2=nn.MaxPool2d(3, 2),
        ),
        *(inception_b() for _ in range(7)),
        Cat(
            branch0=nn.Sequential(Conv(1024, 192, 1), Conv(192, 192, 3, 2)),
            branch1=nn.Sequential(*reduction_b),
            branch2=nn.MaxPool2d(3, 2),
        ),
        *(Fork() for _ in range(3)),
    ]
    whole = nn.Module()
    whole.features = nn.Sequential(*layers)
    whole.last_linear = nn.Linear(1536, 10)
    return whole.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    whole = network()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1, 2)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.2, 0.4)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(whole.state_dict(), path)
    return whole, path


@pytest.mark.slow
def test_features_and_logits_equal_pytorch_s(saved):
    whole, path = saved
    images = np.random.default_rng(0).integers(0, 256, (2, 80, 97, 3), np.uint8)
    x = np.float32((images - inception_v4.MEAN) * inception_v4.SCALE)
    with torch.no_grad():
        expected = whole.features(torch.from_numpy(x).permute(0, 3, 1, 2)).mean((2, 3))
        logits = whole.last_linear(expected).numpy()
        expected = expected.numpy()
    params = inception_v4.load(path)
    found = jax.jit(inception_v4.InceptionV4(10).apply)({"params": params}, x)
    scale = np.abs(logits).max()
    np.testing.assert_allclose(found / scale, logits / scale, atol=1e-4)
    del params["classes"]
    features = jax.jit(inception_v4.InceptionV4().apply)({"params": params}, x)
    scale = expected.max()
    assert features.shape == (2, 1536)
    np.testing.assert_allclose(features / scale, expected / scale, atol=1e-4)


def test_the_count_is_the_published_one():
    images = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    shapes = jax.eval_shape(inception_v4.InceptionV4(1000).init, jax.random.key(0), images)
    params = shapes["params"]
    # BatchNorm has a scale and a bias for each channel, of which folding keeps one.
    scales = sum(leaf.size for name, leaf in params.items() if name.endswith(".bias"))
    assert models.count_parameters(params) + scales == 42_679_816


def test_small_images_and_other_weights_are_refused(saved, tmp_path):
    small = jax.ShapeDtypeStruct((1, 74, 80, 3), np.float32)
    with pytest.raises(InputError, match="74x80 pixels given; allowed: sides from 75"):
        jax.eval_shape(inception_v4.InceptionV4().init, jax.random.key(0), small)
    weights = saved[0].state_dict()
    for change, message in (
        ({"features.0.conv.weight": torch.ones(32, 3, 5, 5)}, "features.0.conv.weight has shape"),
        ({"more": torch.ones(1)}, "it has more, which Inception-v4 has not"),
    ):
        torch.save(weights | change, tmp_path / "other.pth")
        with pytest.raises(InputError, match=message):
            inception_v4.load(tmp_path / "other.pth")
    del weights["features.21.branch3.1.bn.bias"]
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"no array features\.21\.branch3\.1\.bn\.bias"):
        inception_v4.load(tmp_path / "other.pth")
