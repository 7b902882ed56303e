"""VGG-16: the published sizes, and dropout. For outputs see tests/pretrained/."""

import jax
import numpy as np
import pytest

from jhash import models
from jhash.errors import InputError
from jhash.models.vgg import VGG16

pytestmark = pytest.mark.usefixtures("quick_compilation")

NARROW = {"widths": (2, 3, 4, 4, 6), "hidden": 40}


def shapes(model, side):
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    return jax.eval_shape(lambda image: model.init(jax.random.key(0), image, False), image)[
        "params"
    ]


def test_the_counts_are_the_published_ones():
    params = shapes(VGG16(1000), 224)
    assert models.count_parameters(params) == 138_357_544
    assert params["fc6"]["kernel"].shape == (7 * 7 * 512, 4096)


@pytest.mark.slow
def test_dropout_is_behind_fc6_and_fc7_in_training():
    model = VGG16(5, **NARROW)
    rng = np.random.default_rng(0)
    # Everything is positive, so that only dropout makes zeros.
    params = jax.tree.map(
        lambda leaf: np.float32(rng.uniform(0, 4 / max(np.prod(leaf.shape[:-1]), 1), leaf.shape)),
        shapes(model, 32),
    )
    x = np.float32(rng.uniform(size=(4, 32, 32, 3)))

    @jax.jit
    def layers(params, x, key):
        rngs = {"dropout": key}
        variables = {"params": params}
        return model.apply(variables, x, True, rngs=rngs, capture_intermediates=True)

    outputs, seen = layers(params, x, jax.random.key(0))
    assert outputs.shape == (4, 5)
    seen = seen["intermediates"]
    for number, name in enumerate(("fc6", "fc7")):
        before, after = seen[name]["__call__"][0], seen[f"Dropout_{number}"]["__call__"][0]
        kept = after != 0
        assert before.min() > 0
        assert 0.3 < kept.mean() < 0.7
        np.testing.assert_allclose(after[kept], 2 * before[kept], rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "side", "message"),
    [
        ({}, 31, "images: a side of 31 pixels given; allowed: 32 and more, for VGG16"),
        ({"dropout": 1.0}, 32, r"dropout: 1\.0 given; allowed: 0 to below 1"),
    ],
)
def test_what_does_not_fit_is_refused(fields, side, message):
    with pytest.raises(InputError, match=message):
        shapes(VGG16(5, **fields), side)
