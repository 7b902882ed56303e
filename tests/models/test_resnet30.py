"""ResNet30: Table 1 of the paper row by row, and its numbers against PyTorch."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen as nn

from jhash import models
from jhash.errors import InputError
from jhash.models import resnet30
from jhash.models.layers import convolutions
from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.resnet30 import Block, ResNet30, SeparableConv
from tests.support import torch_resnet30 as reference
from tests.support.quick import quick_jit


def traced(net, *image, train=False):
    """The shapes of the variables; nothing is computed."""
    return jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, *image)), train))


shapes = functools.cache(traced)


def rows(net, image, monkeypatch):
    """(name, shape of the input, of the output), without the batch, of each row in its order."""
    seen = []

    def record(name, function):
        def recorded(x, *args):
            y = function(x, *args)
            seen.append((name, x.shape[1:], y.shape[1:]))
            return y

        return recorded

    def intercept(call, args, kwargs, context):
        y = call(*args, **kwargs)
        path = context.module.path
        if context.method_name == "__call__" and len(path) == 1:
            seen.append((path[0], args[0].shape[1:], y.shape[1:]))
        return y

    for module, name in (
        (convolutions, "conv"),
        (convolutions, "max_pool"),
        (resnet30, "shrink_sigmoid"),
    ):
        monkeypatch.setattr(module, name, record(name, getattr(module, name)))
    with nn.intercept_methods(intercept):
        traced(net, *image)
    return seen


def test_table_1(monkeypatch):
    """The paper's zero paddings belong to the convolution and the pooling that follow them."""
    assert rows(ResNet30(48, classes=10), (32, 32, 3), monkeypatch) == [
        ("input_norm", (32, 32, 3), (32, 32, 3)),
        ("conv", (32, 32, 3), (32, 32, 64)),
        ("stem_norm", (32, 32, 64), (32, 32, 64)),
        ("max_pool", (32, 32, 64), (32, 32, 64)),
        ("attention_0", (32, 32, 64), (32, 32, 64)),
        ("stage_1_block_0", (32, 32, 64), (16, 16, 256)),
        ("stage_1_block_1", (16, 16, 256), (16, 16, 256)),
        ("stage_1_block_2", (16, 16, 256), (16, 16, 256)),
        ("attention_1", (16, 16, 256), (16, 16, 256)),
        ("stage_2_block_0", (16, 16, 256), (8, 8, 512)),
        ("stage_2_block_1", (8, 8, 512), (8, 8, 512)),
        ("stage_2_block_2", (8, 8, 512), (8, 8, 512)),
        ("attention_2", (8, 8, 512), (8, 8, 512)),
        ("stage_3_block_0", (8, 8, 512), (4, 4, 1024)),
        ("stage_3_block_1", (4, 4, 1024), (4, 4, 1024)),
        ("stage_3_block_2", (4, 4, 1024), (4, 4, 1024)),
        ("hash", (1024,), (48,)),
        ("shrink_sigmoid", (48,), (48,)),
        ("classes", (48,), (10,)),
    ]


@pytest.mark.parametrize(
    ("image", "sides"),
    [
        ((28, 28, 1), [(14, 14), (7, 7), (4, 4)]),
        ((33, 47, 3), [(17, 24), (9, 12), (5, 6)]),
        ((1, 2, 5), [(1, 1), (1, 1), (1, 1)]),
    ],
)
def test_sizes_of_other_inputs(image, sides, monkeypatch):
    net = ResNet30(12)
    outputs = {name: y for name, _, y in rows(net, image, monkeypatch)}
    height, width, _ = image
    assert outputs["input_norm"] == image
    for name in ("conv", "max_pool", "attention_0"):
        assert outputs[name] == (height, width, 64)
    for stage, (side, features) in enumerate(zip(sides, (256, 512, 1024), strict=True), 1):
        for block in range(3):
            assert outputs[f"stage_{stage}_block_{block}"] == (*side, features)
    assert outputs["hash"] == (12,)


@pytest.mark.parametrize(
    ("fields", "count"),
    [({}, 2_950_650), ({"reduction": 8}, 2_992_174), ({"attention": "none"}, 2_908_000)],
)
def test_parameters(fields, count):
    """ResNet50 without its top has 23,587,712; the paper's network 87.48 % fewer."""
    variables = shapes(ResNet30(48, classes=10, **fields), 32, 32, 3)
    assert models.count_parameters(variables["params"]) == count
    assert abs(count / (23_587_712 * (1 - 0.8748)) - 1) < 0.03
    # 9,923 channels are normalized, each with a mean and a variance.
    assert models.count_parameters(variables["batch_stats"]) == 2 * 9_923


def test_pytorchs_network_has_as_many_parameters():
    module = reference.ResNet30(48, 10, 16)
    assert sum(p.numel() for p in module.parameters()) == 2_950_650


def test_none_has_no_attention_and_is_else_the_same():
    with_attention = shapes(ResNet30(48), 32, 32, 3)["params"]
    without = shapes(ResNet30(48, attention="none"), 32, 32, 3)["params"]
    attentions = {f"attention_{i}" for i in range(3)}
    assert with_attention.keys() - without.keys() == attentions
    assert without == {k: v for k, v in with_attention.items() if k not in attentions}


def test_every_batch_norm_shares_the_axis():
    seen = []

    def intercept(call, args, kwargs, context):
        if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
            seen.append((context.module.axis_name, args[1]))
        return call(*args, **kwargs)

    with nn.intercept_methods(intercept):
        traced(ResNet30(12, "some axis"), 8, 8, 3, train=True)
    # Two at the stem, three a block, one for each conv block's shortcut.
    assert seen == [("some axis", True)] * (2 + 9 * 3 + 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention": "se"}, r"^attention: 'se' given; allowed: cbam, none\."),
        ({"dtype": "float16"}, r"^dtype: 'float16' given; allowed: float32, bfloat16\."),
        ({"reduction": 0}, r"^reduction: 0 given; allowed: 1 to 64, the number of channels\."),
        ({"reduction": 65}, r"^reduction: 65 given; allowed: 1 to 64, the number of channels\."),
    ],
)
def test_errors(fields, message):
    with pytest.raises(InputError, match=message):
        shapes(ResNet30(12, **fields), 8, 8, 3)


def assert_close(found, expected, relative):
    """Compares by name, each array relative to its largest value."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        atol = relative * (1e-3 + np.abs(expected[name]).max())
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (5, 1)])
def test_separable_conv_is_pytorchs(kernel, stride):
    rng = np.random.default_rng(0)
    ours = SeparableConv(6, kernel, stride)
    x = rng.normal(size=(2, 7, 4, 5))
    params = reference.random_like(jax.eval_shape(ours.init, jax.random.key(0), x)["params"])
    module = reference.load(reference.SeparableConv(5, 6, kernel, stride), {"params": params})
    other = reference.to_torch(x)
    y = module(other)
    y.sin().sum().backward()

    def loss(params, x):
        y = ours.apply({"params": params}, x)
        return jnp.sum(jnp.sin(y)), y

    with jax.enable_x64(True):
        (_, found), (gradient, x_gradient) = quick_jit(
            jax.value_and_grad(loss, (0, 1), has_aux=True)
        )(params, x)
    np.testing.assert_allclose(found, reference.from_torch(y), rtol=0, atol=1e-12)
    np.testing.assert_allclose(x_gradient, reference.from_torch(other.grad), rtol=0, atol=1e-12)
    assert_close(reference.named(gradient), reference.gradients(module), 1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
def test_separable_conv_starts_at_the_size_of_he(kernel):
    """Gaussian inputs leave it with twice their variance, for the ReLU to halve."""
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 64)).astype(np.float32)
    y, variables = quick_jit(SeparableConv(128, kernel).init_with_output)(jax.random.key(0), x)
    assert (np.asarray(variables["params"]["depthwise"]) == 1).all() == (kernel == 1)
    assert y.dtype == jnp.float32
    assert 1.6 < y[:, 1:-1, 1:-1].var() < 2.4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "stride", "train"),
    [(5, 2, False), (5, 2, True), (5, 1, True), (8, None, True)],
)
def test_block_is_pytorchs(channels, stride, train):
    rng = np.random.default_rng(0)
    ours = Block((3, 4, 8), stride=stride)
    x = rng.normal(size=(3, 7, 4, channels))
    variables = reference.random_like(shapes(ours, *x.shape[1:]))
    module = reference.load(reference.Block(channels, (3, 4, 8), stride), variables).train(train)
    other = reference.to_torch(x)
    y = module(other)
    y.sin().sum().backward()

    def loss(params, x):
        y, _ = ours.apply({**variables, "params": params}, x, train, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y)), y

    with jax.enable_x64(True):
        (_, found), (gradient, x_gradient) = quick_jit(
            jax.value_and_grad(loss, (0, 1), has_aux=True)
        )(variables["params"], x)
    np.testing.assert_allclose(found, reference.from_torch(y), rtol=0, atol=1e-11)
    np.testing.assert_allclose(x_gradient, reference.from_torch(other.grad), rtol=0, atol=1e-11)
    assert_close(reference.named(gradient), reference.gradients(module), 1e-11)


@pytest.mark.slow
def test_bfloat16_block_stays_near_float32():
    """The gradients less so: half a percent of the ReLUs is on the other side of 0."""
    x, weight = np.random.default_rng(0).normal(size=(2, 4, 8, 8, 32)).astype(np.float32)
    weight = weight.reshape(4, 4, 4, 128)[..., :64]
    block = Block((16, 16, 64), stride=2)
    variables = reference.random_like(shapes(block, *x.shape[1:]))
    variables = jax.tree.map(np.float32, variables)

    def run(dtype):
        def loss(params, x):
            y, _ = block.clone(dtype=dtype).apply(
                {**variables, "params": params}, x, True, mutable=["batch_stats"]
            )
            return jnp.sum(y * weight), y

        (_, y), gradient = quick_jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
            variables["params"], x
        )
        return y, gradient

    def difference(found, exact):
        assert found.dtype == jnp.float32
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

    output, gradients = jax.tree.map(difference, run("bfloat16"), run("float32"))
    assert 1e-4 < output < 0.02
    assert min(jax.tree.leaves(gradients)) > 1e-4
    assert max(jax.tree.leaves(gradients)) < 0.2


@pytest.fixture(scope="module")
def network():
    """The whole network, its variables, images of no round size and PyTorch's network."""
    net = ResNet30(12, classes=7, reduction=8)
    x = np.random.default_rng(0).normal(size=(4, 19, 14, 3))
    variables = reference.random_like(shapes(net, *x.shape[1:]))
    module = reference.load(reference.ResNet30(12, 7, 8), variables)
    return types.SimpleNamespace(net=net, x=x, variables=variables, module=module)


@pytest.fixture(scope="module")
def evaluated(network):
    """PyTorch's outputs with the running statistics."""
    with torch.no_grad():
        outputs = network.module.eval()(reference.to_torch(network.x))
    return {name: y.numpy() for name, y in outputs.items()}


@pytest.mark.slow
def test_network_is_pytorchs_in_evaluation(network, evaluated):
    apply = quick_jit(network.net.apply, static_argnums=2)
    with jax.enable_x64(True):
        found = apply(network.variables, network.x, False)
    assert_close(found, evaluated, 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "relative"), [("float32", 2e-5), ("bfloat16", 0.1)])
def test_network_in_low_precision(network, evaluated, dtype, relative):
    """With float32 arrays, against PyTorch's float64; bfloat16 differs, but not much."""
    variables, x = jax.tree.map(np.float32, (network.variables, network.x))
    found = quick_jit(network.net.clone(dtype=dtype).apply, static_argnums=2)(variables, x, False)
    for name, y in found.items():
        assert y.dtype == jnp.float32
        error = np.linalg.norm(y - evaluated[name]) / np.linalg.norm(evaluated[name])
        assert error < relative
        assert (error > 1e-4) == (dtype == "bfloat16")


@pytest.mark.slow
def test_network_is_pytorchs_in_training(network):
    """Outputs, the running means, and the gradient of every parameter and of the images."""
    module = reference.load(network.module, network.variables).train()
    module.zero_grad()
    other = reference.to_torch(network.x)
    outputs = module(other)
    sum(y.sin().sum() for y in outputs.values()).backward()

    def loss(variables, x):
        found, updates = network.net.apply(variables, x, True, mutable=["batch_stats"])
        return sum(jnp.sum(jnp.sin(y)) for y in found.values()), (found, updates["batch_stats"])

    with jax.enable_x64(True):
        (_, (found, stats)), (gradient, x_gradient) = quick_jit(
            jax.value_and_grad(loss, (0, 1), has_aux=True)
        )(network.variables, network.x)
    assert_close(found, {name: y.detach().numpy() for name, y in outputs.items()}, 1e-10)
    assert_close(reference.named(gradient["params"]), reference.gradients(module), 1e-8)
    assert_close({"x": x_gradient}, {"x": reference.from_torch(other.grad)}, 1e-8)
    means = {k: v for k, v in reference.named(stats).items() if k.endswith("running_mean")}
    buffers = {k: v.numpy() for k, v in module.named_buffers() if k.endswith("running_mean")}
    assert len(means) == 32
    assert_close(means, buffers, 1e-10)


def test_without_classes_the_output_is_the_hash_layers(network):
    net = network.net.clone(classes=0)
    params = dict(network.variables["params"])
    params.pop("classes")
    assert shapes(net, 8, 8, 3)["params"].keys() == params.keys()
    found = jax.eval_shape(
        lambda: net.apply({**network.variables, "params": params}, jnp.zeros((2, 8, 8, 3)), False)
    )
    assert found.shape == (2, 12)
    assert found.dtype == jnp.float32
