"""InvertibleNet: the published network, PyTorch's numbers, and images that come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from jhash import data, models
from jhash.errors import InputError
from jhash.models.invertible_net import InvertibleNet
from tests.support import torch_irevnet as reference
from tests.support import torch_resnet30
from tests.support.quick import quick_jit

FULL = (6, 16, 72, 6)


def shapes(net, *image):
    """The shapes of the variables; nothing is computed."""
    return jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, *image)), False))


def as_trained(net, *image, gain=1.0):
    """Variables that training might leave: no statistic or scale is as at the start."""
    like = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes(net, *image))
    values = {name: reference.unstack(tree) for name, tree in like.items()}
    values = torch_resnet30.random_like(values)
    values = {name: reference.restack(values[name], like[name]) for name in like}
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.float32(leaf * (gain if "conv_" in str(path[-1]) else 1)), values
    )


def as_initial(variables):
    """Variables as at the start, drawn without compiling their initializers."""
    start = {"scale": 1, "bias": 0, "mean": 0, "var": 1}
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key in start:
            return np.full_like(leaf, start[path[-1].key])
        bound = np.prod(leaf.shape[-4:-1]) ** -0.5
        return rng.uniform(-bound, bound, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, variables)


def fashion(count):
    """Images of 32 x 32 x 3, bytes / 64 - 2; the border is black."""
    found = data.load("embedded", "embedded").source.images(np.arange(count))
    padded = np.pad(found, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return np.repeat(padded, 3, axis=-1).astype(np.float32) / 64 - 2


def photo(side):
    image = load_sample_image("china.jpg")[100 : 100 + side, 200 : 200 + side]
    return image[None].astype(np.float32) / 64 - 2


def there_and_back(net, variables, x, train=False):
    """Features and the images made of them, each direction called outside of jit."""
    features, _ = net.apply(variables, x, train, method="features", mutable=["batch_stats"])
    return features, net.apply(variables, features, train, method="inverse")


def bits_of(x):
    return np.asarray(x).view(np.uint32)


@pytest.mark.slow
def test_has_the_parameters_of_the_published_network():
    net = InvertibleNet(1000, stages=FULL, kernels=(3, 3, 3), attention="none")
    params = shapes(net, 224, 224, 3)["params"]
    counts = {name: models.count_parameters(tree) for name, tree in params.items()}
    stages = [counts[f"stage_{number}"] for number in (1, 2, 3, 4)]
    assert stages == [16_908, 735_408, 53_581_248, 67_707_648]
    assert sum(stages) == 122_041_212
    assert sum(counts.values()) == 125_120_356


@pytest.mark.slow
def test_the_papers_network():
    for bottleneck, total in (("second", 85_688_536), ("both", 26_295_196)):
        net = InvertibleNet(48, bottleneck=bottleneck)
        variables = shapes(net, 224, 224, 3)
        count = 2 * 3072 + 3072 * 48 + 48 - 2 * 6  # The head; no BN before the first convolution.
        for blocks, features in zip(FULL, (24, 96, 384, 1536), strict=True):
            hidden = features // 4
            inner = features if bottleneck == "second" else hidden
            for channels in [features // 4] + (blocks - 1) * [features]:
                # 1 x 1, 3 x 3, 1 x 1
                count += channels * inner + 9 * inner * hidden + hidden * features
                count += 2 * (channels + inner + hidden) + 2 * 49 * 2  # BN, attention
        assert models.count_parameters(variables["params"]) == count == total
    features = jax.eval_shape(
        lambda v: net.apply(v, jnp.zeros((2, 224, 224, 3)), False, method="features"), variables
    )
    assert features.shape == (2, 7, 7, 3072)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernels", "strides", "attention", "bottleneck", "train"),
    [
        ((3, 3, 3), (2, 1, 1), "none", "both", False),
        ((1, 3, 1), (1, 2, 1), "spatial", "second", True),
    ],
)
def test_is_pytorchs(kernels, strides, attention, bottleneck, train):
    stages, image = (2, 3), (16, 8, 3)
    net = InvertibleNet(
        5, stages=stages, kernels=kernels, attention=attention, bottleneck=bottleneck
    )
    variables = as_trained(net, *image)
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(4, *image)), rng.normal(size=(4, 5))

    module = reference.IRevNet(
        5, stages, kernels, strides, attention == "spatial", narrow_first=bottleneck == "both"
    )
    module = torch_resnet30.load(
        module.train(train), {name: reference.unstack(tree) for name, tree in variables.items()}
    )
    other = torch_resnet30.to_torch(x)
    y = module(other)
    (y * torch_resnet30.torch.tensor(weight)).sum().backward()

    def loss(params, stats, x):
        variables = {"params": params, "batch_stats": stats}
        outputs, _ = net.apply(variables, x, train, mutable=["batch_stats"])
        return (outputs * jnp.asarray(weight)).sum(), outputs

    inputs = variables["params"], variables["batch_stats"], x
    with jax.enable_x64(True):
        gradient = quick_jit(jax.grad(loss, argnums=(0, 2), has_aux=True))
        (found, image_gradient), outputs = gradient(*jax.tree.map(np.float64, inputs))
    expected = y.detach().numpy()
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    theirs = torch_resnet30.gradients(module)
    ours = torch_resnet30.named(reference.unstack(found))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-9 * scale, err_msg=name)
    expected = torch_resnet30.from_torch(other.grad)
    np.testing.assert_allclose(image_gradient, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    # In float32 the same to rounding.
    outputs = quick_jit(loss)(*jax.tree.map(np.float32, inputs))[1]
    np.testing.assert_allclose(outputs, y.detach().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_inverse_gives_the_image_back():
    """With the batch's statistics in both directions; the tests below have the running ones."""
    net = InvertibleNet(8, stages=(2, 8))
    x = np.concatenate([photo(32), fashion(7)])[:, :, :16]
    variables = as_trained(net, 32, 16, 3, gain=0.25)
    _, found = there_and_back(net, variables, x, train=True)
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-5)
    with jax.enable_x64(True):
        wide = jax.tree.map(np.float64, variables)
        features, found = there_and_back(net, wide, np.float64(x), train=True)
    assert features.dtype == np.float64
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_hundred_blocks_give_every_bit_back():
    net = InvertibleNet(8, stages=FULL, lattice=12)
    trained = as_trained(net, 32, 32, 3, gain=0.3)
    x = np.concatenate([fashion(7), photo(32)])
    for variables in (trained, as_initial(trained)):
        features, found = there_and_back(net, variables, x)
        assert np.abs(features).max() < 2**12
        np.testing.assert_array_equal(bits_of(found), bits_of(x))
        # Not because nothing happened to it: the image's values are multiples of 1/64.
        assert np.mean(features * 64 % 1 != 0) > 0.9


@pytest.mark.slow
def test_every_bit_comes_back_from_a_trained_network():
    net = InvertibleNet(4, stages=(3,), lattice=8)
    x = fashion(8)
    variables = as_initial(as_trained(net, 32, 32, 3))

    @quick_jit
    def step(variables):
        def loss(params):
            outputs, changed = net.apply(
                {**variables, "params": params}, x, True, mutable=["batch_stats"]
            )
            return jnp.square(outputs - 1).mean(), changed

        (value, changed), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        params = jax.tree.map(lambda p, g: p - 0.02 * g, variables["params"], gradient)
        return value, {"params": params, **changed}

    values = []
    for _ in range(10):
        value, variables = step(variables)
        values.append(value)
    assert values[-1] < values[0] / 2
    for train, batch in ((False, 1), (False, 3), (False, 8), (True, 8)):
        features, found = there_and_back(net, variables, x[:batch], train)
        np.testing.assert_array_equal(bits_of(found), bits_of(x[:batch]))
        assert not np.any(features * 2**8 % 1)


@pytest.mark.slow
def test_the_lattice_takes_the_image_first():
    net = InvertibleNet(4, stages=(1,), lattice=3)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    x[0, :2, 0, 0] = -1e-3, -0.0
    _, found = there_and_back(net, as_trained(net, 8, 8, 1), x)
    expected = np.round(x.astype(np.float64) * 8) / 8 + 0.0  # No -0.
    np.testing.assert_array_equal(bits_of(found), bits_of(np.float32(expected)))


@pytest.mark.slow
def test_values_out_of_range_are_found():
    net = InvertibleNet(4, stages=(2,), lattice=21)  # Up to 8.
    variables = as_trained(net, 8, 8, 3)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
    x[1] *= 7.9
    features, found = there_and_back(net, variables, x)
    outputs = net.apply(variables, x, False)
    for values in (features, found, outputs):
        values = np.asarray(values).reshape(3, -1)
        assert np.isfinite(values[[0, 2]]).all()
        assert np.isnan(values[1]).any()
    assert np.isnan(outputs[1]).all()
    # Features from elsewhere, out of range on the way back.
    features = np.where(np.isnan(features), 7.9, features)
    assert np.isnan(net.apply(variables, features, False, method="inverse")[1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["none", "spatial"])
def test_values_out_of_range_are_found_in_compiled_code(attention):
    """Whose ReLU need not hand on a NaN: at these sizes XLA's, on a CPU, did not."""
    net = InvertibleNet(4, stages=(1, 1), lattice=21, attention=attention)
    x = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    x[1] *= 20  # Above 8.
    variables = net.init(jax.random.key(0), x, False)
    outputs = jax.jit(lambda variables, x: net.apply(variables, x, False))(variables, x)
    np.testing.assert_array_equal(np.isnan(outputs).all(1), np.arange(8) == 1)
    assert np.isfinite(np.delete(outputs, 1, 0)).all()


@pytest.mark.slow
def test_the_batchs_statistics_are_taken_up_once():
    """By a gradient, which computes F twice; the inverse leaves them alone."""
    net = InvertibleNet(4, stages=(2,))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    variables = as_trained(net, 8, 8, 3)
    updated = {}
    for name in ("reversible", "plain"):

        def loss(params, name=name):
            outputs, changed = net.clone(gradient=name).apply(
                {**variables, "params": params}, x, True, mutable=["batch_stats"]
            )
            return outputs.sum(), changed

        _, updated[name] = quick_jit(jax.grad(loss, has_aux=True))(variables["params"])
    module = reference.IRevNet(4, (2,), (1, 3, 1), (1, 2, 1), attention=True)
    torch_resnet30.load(
        module.train(), {name: reference.unstack(tree) for name, tree in variables.items()}
    )(torch_resnet30.to_torch(x).double())
    theirs = dict(module.named_buffers())
    for found in updated.values():
        ours = torch_resnet30.named(reference.unstack(found["batch_stats"]))
        for name, value in ours.items():
            if name.endswith("mean"):  # PyTorch's variance is the unbiased one.
                np.testing.assert_allclose(value, theirs[name], rtol=1e-4, atol=1e-5)
    features, _ = net.apply(variables, x, True, method="features", mutable=["batch_stats"])
    _, changed = net.apply(variables, features, True, method="inverse", mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stages": ()}, r"stages: \(\) given; allowed: numbers of blocks, from 1 on"),
        ({"stages": (2, 0)}, "stages: .* given"),
        ({"kernels": (1, 2, 1)}, "kernels: .* given; allowed: three odd sides"),
        ({"kernels": (3, 3)}, "kernels: .* given"),
        ({"attention": "cbam"}, "attention: 'cbam' given; allowed: spatial, none"),
        ({"bottleneck": "first"}, "bottleneck: 'first' given; allowed: both, second"),
        ({"attention_kernel": "ones"}, "attention_kernel: 'ones' given; allowed: scaled, zeros, r"),
        ({"width": 0}, "width: 0 given; allowed: numbers above 0"),
        ({"lattice": 24}, "lattice: 24 given; allowed: None and 0 to 23"),
        ({"gradient": "exact"}, "gradient: 'exact' given; allowed: reversible, plain, checkp"),
        ({"dtype": "float16"}, "dtype: 'float16' given; allowed: float32, bfloat16"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        shapes(InvertibleNet(4, **{"stages": (1,), **fields}), 8, 8, 3)


def test_sides_must_suit_the_stages():
    net = InvertibleNet(4, stages=(1, 1))
    assert shapes(net, 24, 8, 1)["params"]["hash"]["kernel"].shape == (64, 4)
    with pytest.raises(
        InputError, match=r"28x24 pixels given; allowed: multiples of 8, as 2 stages halve"
    ):
        shapes(net, 28, 24, 1)
    with pytest.raises(InputError, match=r"features: 100 channels given; .* multiples of 64"):
        net.apply(as_trained(net, 8, 8, 1), jnp.zeros((1, 1, 1, 100)), False, method="inverse")
