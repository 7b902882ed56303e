"""ResNet-18 against the same network in PyTorch, and the published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from jhash import models
from jhash.errors import InputError
from jhash.models.resnet18 import ResNet18

pytestmark = pytest.mark.usefixtures("quick_compilation")

WIDTHS = (4, 6, 8, 10)
SLOPE = 0.2


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut = None
        if stride > 1 or inputs != width:
            self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(width)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x):
        y = self.activation(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return self.activation(y + (self.shortcut_norm(self.shortcut(x)) if self.shortcut else x))


class Network(nn.Module):
    """As torchvision has it, with the leaky ReLU and, for small images, the small stem."""

    def __init__(self, channels, bits, small):
        super().__init__()
        kernel, stride = (3, 1) if small else (7, 2)
        self.stem = nn.Conv2d(channels, WIDTHS[0], kernel, stride, kernel // 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(WIDTHS[0])
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, 1):
            for block in range(2):
                stride = 2 if stage > 1 and not block else 1
                setattr(self, f"stage_{stage}_block_{block}", Block(inputs, width, stride))
                inputs = width
        self.hash = nn.Linear(inputs, bits)

    def forward(self, x):
        x = self.pool(nn.functional.leaky_relu(self.stem_norm(self.stem(x)), SLOPE))
        for stage in range(1, 5):
            for block in range(2):
                x = getattr(self, f"stage_{stage}_block_{block}")(x)
        return self.hash(x.mean((2, 3)))


def make(channels, bits, small):
    """The PyTorch network with random weights and statistics, and flax's variables of it."""
    torch.manual_seed(0)
    network = Network(channels, bits, small)
    params, stats = {}, {}
    for path, module in network.named_modules():
        name = path.replace(".", "_")
        if isinstance(module, nn.Conv2d):
            params[name] = module.weight.detach().numpy().transpose(2, 3, 1, 0)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            params[name] = {"scale": module.weight, "bias": module.bias}
            stats[name] = {"mean": module.running_mean, "var": module.running_var}
        elif isinstance(module, nn.Linear):
            params[name] = {"kernel": module.weight.T, "bias": module.bias}
    # Copies: PyTorch's training mode changes its own in place.
    variables = {"params": params, "batch_stats": stats}
    return network, jax.tree.map(
        lambda leaf: np.array(leaf.detach().numpy() if isinstance(leaf, torch.Tensor) else leaf),
        variables,
    )


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    ("stem", "sides"),
    [("auto", (28, 28)), ("auto", (9, 15)), ("auto", (70, 64)), ("published", (28, 33))],
)
def test_outputs_equal_pytorch_s(stem, sides, train):
    small = stem == "auto" and min(sides) < 64
    channels, bits = (1 if small else 3), 5
    network, variables = make(channels, bits, small)
    x = np.random.default_rng(0).normal(size=(6, *sides, channels)).astype(np.float32)
    with torch.no_grad():
        expected = network.train(train)(torch.from_numpy(x).permute(0, 3, 1, 2))
    model = ResNet18(bits, widths=WIDTHS, stem=stem)
    found = model.apply(variables, x, train, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_gradients_equal_pytorch_s():
    network, variables = make(1, 5, True)
    x = np.random.default_rng(0).normal(size=(8, 16, 16, 1)).astype(np.float32)
    network.train()(torch.from_numpy(x).permute(0, 3, 1, 2)).square().mean().backward()
    model = ResNet18(5, widths=WIDTHS)

    def loss(params):
        outputs, _ = model.apply(variables | {"params": params}, x, True, mutable=["batch_stats"])
        return jnp.square(outputs).mean()

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    for name in ("stem", "stage_2_block_0_shortcut", "stage_4_block_1_second"):
        expected = network.get_submodule(
            name.replace("_block_0_", "_block_0.").replace("_block_1_", "_block_1.")
        ).weight.grad.numpy()
        np.testing.assert_allclose(
            gradients[name], expected.transpose(2, 3, 1, 0), rtol=1e-3, atol=1e-4
        )


def test_the_count_is_the_published_one():
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    init = lambda x: ResNet18(1000).init(jax.random.key(0), x, False)  # noqa: E731
    params = jax.eval_shape(init, x)["params"]
    assert models.count_parameters(params) == 11_689_512


def test_small_and_unknown_are_refused():
    for stem, side in (("small", 5), ("published", 17)):
        x = jnp.zeros((1, side - 1, side, 1))
        message = (
            f"{side - 1} pixels given; allowed: {side} and more, for ResNet18 with the {stem} stem"
        )
        with pytest.raises(InputError, match=message):
            ResNet18(5, stem=stem).init(jax.random.key(0), x, False)
    with pytest.raises(InputError, match="stem: 'big' given"):
        ResNet18(5, stem="big").init(jax.random.key(0), jnp.zeros((1, 9, 9, 1)), False)
