"""Every model in bfloat16: float32 parameters and gradients, outputs like those in float32."""

import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jhash import models
from jhash.commands import overrides
from jhash.errors import InputError
from jhash.system import imports
from tests.support.quick import quick_jit

EIGHT = {"widths": (4, 4, 4, 4, 4), "hidden": 8}
# Small fields of each model, and the side of its images.
MODELS = {
    "alexnet.AlexNet": (EIGHT | {"dropout": 0.0}, 16),
    "cnn_f.CNNF": (EIGHT, 16),
    "invertible_net.InvertibleNet": ({"stages": (2,)}, 8),
    "resnet.ResNet": ({"widths": (4, 6), "blocks": (1, 1)}, 8),
    "resnet30.ResNet30": ({"stages": ((4, 4, 8),), "identity_blocks": 0}, 8),
    "small_cnn.SmallCNN": ({"widths": (4, 4), "hidden": 8}, 8),
    "small_resnet.SmallResNet": ({"stem": 4, "widths": (4,)}, 8),
    "vgg.VGG16": (EIGHT | {"dropout": 0.0}, 32),
    "vit.ViT": ({"patch": 4, "width": 8, "depth": 1, "heads": 2, "hidden": 8, "grid": 2}, 8),
    "fine_tuned.FineTuned": ({}, 32),
}
# One of each kind of layers: flax's, `convolutions`, attention.
COMPUTED = {"small_cnn.SmallCNN", "small_resnet.SmallResNet", "vit.ViT"}
# What has no step of its own: a fitted function on features.
FITTED = {"feature_hash.FeatureHash"}


def test_every_model_is_here():
    found = set()
    for module in pkgutil.iter_modules(models.__path__):
        if not module.ispkg:
            loaded = __import__(f"jhash.models.{module.name}", fromlist=["_"])
            found |= {
                f"{module.name}.{name}"
                for name, value in vars(loaded).items()
                if inspect.isclass(value) and issubclass(value, nn.Module)
                if value.__module__ == loaded.__name__ and "bits" in value.__annotations__
            }
    # The blocks of models have no bits.
    assert found == {*MODELS, *FITTED}


def drawn(shapes):
    """Draws parameters by their fan-in; statistics of BatchNorm are those of the start."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        inputs = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 100
        return rng.normal(0, inputs**-0.5, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.mark.parametrize("name", MODELS)
def test_in_bfloat16(name):
    """Types of all, and numbers of one model with each kind of layers."""
    fields, side = MODELS[name]
    images = np.random.default_rng(0).normal(size=(4, side, side, 3)).astype(np.float32)
    model, exact = (
        models.build(name, 6, dtype=dtype, **fields) for dtype in ("bfloat16", "float32")
    )
    variables = drawn(jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False)))

    def outputs_of(model, variables, images):
        return model.apply(variables, images, train=True, mutable=["batch_stats"])

    def gradient(variables, images):
        def loss(params):
            outputs, changed = outputs_of(model, {**variables, "params": params}, images)
            return jnp.square(outputs).sum(), changed

        return jax.grad(loss, has_aux=True)(variables["params"])

    traced, shapes = jax.make_jaxpr(gradient, return_shape=True)(variables, images)
    assert "bf16[" in str(traced)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, shapes))} == {np.dtype(np.float32)}
    if name == "small_cnn.SmallCNN":
        found = quick_jit(gradient)(variables, images)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(found[0])) > 0
    if name in COMPUTED:

        def both(variables, images):
            return [outputs_of(m, variables, images)[0] for m in (model, exact)]

        found, expected = quick_jit(both)(variables, images)
        assert found.dtype == np.float32
        # It is another computation, and the same function.
        assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", ["float16", "int8", "no type"])
def test_other_types_are_refused(dtype):
    with pytest.raises(InputError, match=f"^dtype: '{dtype}' given; allowed: float32, bfloat16"):
        models.build("cnn_f.CNNF", 6, dtype=dtype)


def test_a_backbone_without_the_field_is_named(monkeypatch):
    class Backbone(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x.mean((1, 2))

    monkeypatch.setattr(imports, "find_attribute", lambda *_: Backbone)
    with pytest.raises(InputError, match=r"^dtype: 'bfloat16' given; allowed: 'float32', as mine"):
        models.fine_tuned.FineTuned(4, backbone="mine.Backbone", dtype="bfloat16").init(
            jax.random.key(0), jnp.zeros((1, 2, 2, 3)), False
        )


def test_the_other_backbone_has_the_field():
    from jhash.pretrained.inception_v4 import InceptionV4

    images = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)

    def features(images):
        return InceptionV4(dtype="bfloat16").init_with_output(jax.random.key(0), images)

    traced = jax.make_jaxpr(features)(images)
    assert {value.dtype for value in traced.out_avals} == {np.dtype(np.float32)}
    convolved = [line for line in str(traced).splitlines() if "conv_general_dilated[" in line]
    assert len(convolved) == 149
    assert all(":bf16[" in line for line in convolved)


def test_a_config_gets_the_field_by_an_override():
    import configs.fdah

    config = configs.fdah.get_config("smoke")
    words = ["--config=configs/fdah.py", "--config.model.dtype=bfloat16", "--config.seed=1"]
    left, taken = overrides.take_open(words)
    assert left == [words[0], words[2]]
    overrides.apply_open(config, taken)
    assert config.model.dtype == "bfloat16"
    # Other fields are those that the config lists.
    assert overrides.take_open(["--config.model.hidden=3"]) == (["--config.model.hidden=3"], {})
    _, taken = overrides.take_open(["--config.model.dtype", "float32"])
    with pytest.raises(InputError, match=r"config\.model\.dtype"):
        overrides.of_evaluation(taken)
