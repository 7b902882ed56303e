"""AlexNet against the same layers in PyTorch, and the published sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from jhash import models
from jhash.errors import InputError
from jhash.models.alexnet import AlexNet

pytestmark = pytest.mark.usefixtures("quick_compilation")

NARROW = {"widths": (4, 6, 8, 6, 5), "hidden": 10}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "hash")


def torch_alexnet(bits, channels, small, pixels):
    """The narrow network as torchvision lists its layers; `pixels` are left by pool5."""
    w1, w2, w3, w4, w5 = NARROW["widths"]
    hidden = NARROW["hidden"]
    return nn.Sequential(
        nn.Conv2d(channels, w1, 3, padding=1) if small else nn.Conv2d(channels, w1, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(w1, w2, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(w2, w3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(w3, w4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(w4, w5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(w5 * pixels, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, bits),
    ).eval()


def params_of(network):
    """PyTorch's weights for flax; fc6's inputs from (channel, pixel) to (pixel, channel)."""
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    params = {}
    for name, layer in zip(LAYERS, layers, strict=True):
        kernel = layer.weight.detach().numpy()
        if name == "fc6":
            channels = NARROW["widths"][-1]
            kernel = kernel.reshape(len(kernel), channels, -1).swapaxes(1, 2)
            kernel = kernel.reshape(len(kernel), -1)
        order = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
        params[name] = {"kernel": kernel.transpose(order), "bias": layer.bias.detach().numpy()}
    return params


def shapes(model, *image):
    return jax.eval_shape(
        lambda: model.init_with_output(
            jax.random.key(0), jnp.zeros((2, *image)), False, capture_intermediates=True
        )
    )


def he_normal(model, *image):
    """Parameters as a fresh network has them, by NumPy: compiling flax's takes seconds."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        fan_in = np.prod(leaf.shape[:-1])
        return rng.normal(scale=(2 / fan_in) ** 0.5, size=leaf.shape).astype(np.float32)

    params = shapes(model, *image)[1]["params"]
    return {
        name: {"kernel": draw(leaves["kernel"]), "bias": np.zeros(leaves["bias"].shape, np.float32)}
        for name, leaves in params.items()
    }


def test_published_parameters_and_sizes_at_224():
    output, variables = shapes(AlexNet(bits=48), 224, 224, 3)
    params = dict(variables["params"])
    assert output.shape == (2, 48)
    assert models.count_parameters(params.pop("hash")) == 48 * 4097
    assert models.count_parameters(params) == 57_003_840
    seen = variables["intermediates"]
    sides = [seen[f"conv{i}"]["__call__"][0].shape[1:3] for i in range(1, 6)]
    # conv2 keeps the size of pool1, and conv3 to conv5 that of pool2.
    assert sides == [(s, s) for s in (55, 27, 13, 13, 13)]
    assert params["fc6"]["kernel"].shape == (6 * 6 * 256, 4096)


def test_the_original_has_a_1000_way_layer():
    _, variables = shapes(AlexNet(bits=1000), 224, 224, 3)
    assert models.count_parameters(variables["params"]) == 61_100_840


@pytest.mark.parametrize(
    ("image", "stem", "conv1", "pool5"),
    [
        ((28, 28, 1), "auto", (28, 28), 2 * 2),
        ((15, 15, 1), "auto", (15, 15), 1 * 1),
        ((62, 62, 3), "auto", (62, 62), 6 * 6),
        ((63, 63, 3), "auto", (15, 15), 1 * 1),
        ((64, 64, 3), "small", (64, 64), 7 * 7),
        ((64, 96, 3), "published", (15, 23), 1 * 2),
    ],
)
def test_sizes_of_other_inputs(image, stem, conv1, pool5):
    _, variables = shapes(AlexNet(bits=12, stem=stem), *image)
    assert variables["intermediates"]["conv1"]["__call__"][0].shape[1:3] == conv1
    assert variables["params"]["conv1"]["kernel"].shape[2] == image[2]
    assert variables["params"]["fc6"]["kernel"].shape[0] == pool5 * 256


@pytest.mark.parametrize(
    ("image", "small", "pixels"), [((99, 67, 3), False, 2 * 1), ((32, 28, 1), True, 3 * 2)]
)
def test_outputs_are_those_of_the_same_layers_in_pytorch(image, small, pixels):
    torch.manual_seed(0)
    network = torch_alexnet(12, image[-1], small, pixels)
    # PyTorch's fresh weights let the signal fade; biases would hide what a layer does to it.
    for parameter in network.parameters():
        fan_in = parameter[0].numel()
        torch.nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.1)
    x = np.random.default_rng(0).normal(size=(3, *image)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    model = AlexNet(bits=12, **NARROW)
    found = jax.jit(lambda params, x: model.apply({"params": params}, x, False))(
        params_of(network), x
    )
    assert np.std(expected, axis=0).min() > 0.01, "images must make a difference"
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_dropout_acts_in_training_alone():
    x = np.random.default_rng(0).normal(size=(4, 15, 15, 1)).astype(np.float32)
    model = AlexNet(bits=12, **NARROW)
    variables = {"params": he_normal(model, 15, 15, 1)}

    @jax.jit
    def train(variables, x, seed):
        return model.apply(variables, x, True, rngs={"dropout": jax.random.key(seed)})

    evaluated = jax.jit(lambda variables, x: model.apply(variables, x, False))(variables, x)
    first = train(variables, x, 0)
    assert not jnp.array_equal(first, evaluated)
    assert not jnp.array_equal(first, train(variables, x, 1))
    np.testing.assert_array_equal(first, train(variables, x, 0))
    # Without dropout, training is evaluation and needs no random stream.
    plain = AlexNet(bits=12, dropout=0.0, **NARROW)
    found = jax.jit(lambda variables, x: plain.apply(variables, x, True))(variables, x)
    np.testing.assert_array_equal(found, evaluated)


@pytest.mark.slow
def test_dropout_is_before_fc6_and_fc7_and_keeps_the_mean():
    x = np.random.default_rng(0).normal(size=(64, 15, 15, 1)).astype(np.float32)
    model = AlexNet(bits=12, dropout=0.75, widths=(2, 2, 2, 2, 40), hidden=100)
    params = he_normal(model, 15, 15, 1)

    @jax.jit
    def layers(params, x, key):
        rngs = {"dropout": key}
        return model.apply({"params": params}, x, True, rngs=rngs, capture_intermediates=True)

    seen = layers(params, x, jax.random.key(0))[1]["intermediates"]
    dropped = [seen[f"Dropout_{i}"]["__call__"][0] for i in range(2)]
    fc6, fc7 = (seen[name]["__call__"][0] for name in ("fc6", "fc7"))
    for before, after, name in ((dropped[0], fc6, "fc6"), (dropped[1], fc7, "fc7")):
        np.testing.assert_allclose(after, before @ params[name]["kernel"], rtol=1e-3, atol=1e-4)
    kept = dropped[1] != 0
    np.testing.assert_allclose(kept.mean() / (fc6 > 0).mean(), 0.25, atol=0.02)
    np.testing.assert_allclose(dropped[1][kept], 4 * fc6[kept], rtol=1e-6)


@pytest.mark.slow
def test_every_layer_learns():
    model = AlexNet(bits=12, dropout=0.0, **NARROW)  # Compiled in half the time.
    x = np.random.default_rng(0).normal(size=(8, 28, 28, 1)).astype(np.float32)

    @jax.jit
    def gradient(params, x):
        def loss(params):
            outputs = model.apply({"params": params}, x, True)
            return jnp.mean(outputs**2), outputs

        return jax.grad(loss, has_aux=True)(params)

    found, outputs = gradient(he_normal(model, 28, 28, 1), x)
    assert outputs.shape == (8, 12)
    assert outputs.dtype == jnp.float32
    for layer, leaves in found.items():
        assert all(jnp.isfinite(leaf).all() and leaf.any() for leaf in leaves.values()), layer


def test_low_precision_keeps_parameters_and_outputs_in_float32():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 16, 16, 1)).astype(np.float32)
    low = AlexNet(bits=12, dtype="bfloat16", **NARROW)
    wanted = {"params": shapes(low, 16, 16, 1)[1]["params"]}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(wanted))
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), wanted)
    found, exact = (
        jax.jit(lambda params, x, model=model: model.apply(params, x, False))(params, x)
        for model in (low, AlexNet(bits=12, **NARROW))
    )
    assert found.dtype == jnp.float32
    assert not jnp.array_equal(found, exact)
    np.testing.assert_allclose(found, exact, atol=0.05 * float(jnp.abs(exact).max()))


@pytest.mark.parametrize(
    ("fields", "side", "message"),
    [
        ({"stem": "published"}, 62, "62 pixels given; allowed: 63 .*AlexNet with the published"),
        ({}, 14, "14 pixels given; allowed: 15 .*AlexNet with the small stem"),
        (
            {"stem": "tiny"},
            28,
            "stem: 'tiny' given; allowed: auto, published, small",
        ),
        ({"dropout": 1.0}, 28, r"dropout: 1\.0 given; allowed: 0 to below 1"),
        ({"dropout": -0.1}, 28, r"dropout: -0\.1 given"),
    ],
)
def test_refuses_what_does_not_fit(fields, side, message):
    with pytest.raises(InputError, match=message):
        shapes(AlexNet(bits=12, **fields), side, side, 3)
