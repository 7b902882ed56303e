"""Vision transformers: counts, positions, precision. For outputs see tests/pretrained/."""

import jax
import numpy as np
import pytest
import torch

from jhash import models
from jhash.errors import InputError
from jhash.models.vit import ViT, ViTB16, ViTS16, resized

pytestmark = pytest.mark.usefixtures("quick_compilation")

SMALL = {"width": 16, "depth": 2, "heads": 2, "hidden": 24, "grid": 4, "patch": 4}


def shapes(model, *sides):
    image = jax.ShapeDtypeStruct((1, *sides, 3), np.float32)
    return jax.eval_shape(lambda image: model.init(jax.random.key(0), image, False), image)


@pytest.mark.parametrize(("model", "count"), [(ViTB16, 86_567_656), (ViTS16, 22_050_664)])
def test_the_counts_are_the_published_ones(model, count):
    assert models.count_parameters(shapes(model(1000), 224, 224)) == count


def test_positions_of_other_sizes_are_pytorch_s_resized_ones():
    """As timm resizes them: bicubic, smoothed when it shrinks; the class token's stays."""
    positions = np.random.default_rng(0).normal(size=(1, 17, 16)).astype(np.float32)
    for rows, columns in ((2, 3), (6, 4), (4, 4)):
        found = resized(positions, rows, columns)
        grid = torch.from_numpy(positions[:, 1:].reshape(1, 4, 4, 16)).permute(0, 3, 1, 2)
        expected = torch.nn.functional.interpolate(
            grid, (rows, columns), mode="bicubic", antialias=True
        )
        expected = expected.permute(0, 2, 3, 1).reshape(-1, 16)
        np.testing.assert_array_equal(found[:, 0], positions[:, 0])
        np.testing.assert_allclose(found[0, 1:], expected, rtol=1e-4, atol=1e-5)


def test_low_precision_keeps_parameters_and_outputs_in_float32():
    variables = shapes(ViT(5, dtype="bfloat16", **SMALL), 16, 16)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(variables)} == {"float32"}
    image = jax.ShapeDtypeStruct((2, 16, 16, 3), np.float32)
    low = ViT(5, dtype="bfloat16", **SMALL)
    outputs, seen = jax.eval_shape(
        lambda variables, image: low.apply(variables, image, False, capture_intermediates=True),
        variables,
        image,
    )
    assert (outputs.shape, str(outputs.dtype)) == ((2, 5), "float32")
    assert str(seen["intermediates"]["patches"]["__call__"][0].dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("fields", "side", "message"),
    [
        ({}, 14, r"images: 14x14 pixels given; allowed: multiples of 4, the side of a patch\."),
        ({"heads": 3}, 16, r"heads: 3 given; allowed: divisors of the width, 16\."),
        ({"heads": 0}, 16, "heads: 0 given"),
    ],
)
def test_what_does_not_fit_is_refused(fields, side, message):
    with pytest.raises(InputError, match=message):
        shapes(ViT(5, **(SMALL | fields)), side, side)
