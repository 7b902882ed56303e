import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash import models
from jhash.errors import InputError
from jhash.models.cnn_f import CNNF

pytestmark = pytest.mark.usefixtures("quick_compilation")

NARROW = {"widths": (4, 6, 6, 6, 6), "hidden": 10}


def shapes(model, *image):
    return jax.eval_shape(
        lambda: model.init_with_output(
            jax.random.key(0), jnp.zeros((2, *image)), False, capture_intermediates=True
        )
    )


def test_published_parameters_and_sizes_at_224():
    output, variables = shapes(CNNF(bits=48), 224, 224, 3)
    params = dict(variables["params"])
    assert output.shape == (2, 48)
    assert models.count_parameters(params.pop("hash")) == 48 * 4097
    assert models.count_parameters(params) == 56_737_536
    seen = variables["intermediates"]
    sides = [seen[f"conv{i}"]["__call__"][0].shape[1:3] for i in range(1, 6)]
    # conv2 keeps the size of pool1, and conv3 to conv5 that of pool2.
    assert sides == [(s, s) for s in (54, 27, 13, 13, 13)]
    assert params["fc6"]["kernel"].shape == (6 * 6 * 256, 4096)


@pytest.mark.parametrize(
    ("image", "stem", "conv1", "pool5"),
    [
        ((28, 28, 1), "auto", (28, 28), 3 * 3),
        ((32, 32, 3), "auto", (32, 32), 4 * 4),
        ((38, 38, 3), "auto", (38, 38), 4 * 4),
        ((39, 39, 3), "auto", (8, 8), 1 * 1),
        ((64, 64, 3), "small", (64, 64), 8 * 8),
        ((64, 64, 3), "published", (14, 14), 1 * 1),
        ((48, 80, 3), "auto", (10, 18), 1 * 2),
        ((224, 224, 1), "auto", (54, 54), 6 * 6),
    ],
)
def test_sizes_of_other_inputs(image, stem, conv1, pool5):
    _, variables = shapes(CNNF(bits=12, stem=stem), *image)
    assert variables["intermediates"]["conv1"]["__call__"][0].shape[1:3] == conv1
    assert variables["params"]["conv1"]["kernel"].shape[2] == image[2]
    assert variables["params"]["fc6"]["kernel"].shape[0] == pool5 * 256


@pytest.mark.slow
@pytest.mark.parametrize("image", [(28, 28, 1), (32, 32, 3)])
def test_small_inputs_run_and_every_layer_learns(image):
    model = CNNF(bits=12, **NARROW)
    x = 50 * jax.random.normal(jax.random.key(1), (8, *image))

    def loss(params):
        outputs = model.apply({"params": params}, x, True)
        return jnp.mean(outputs**2), outputs

    @jax.jit
    def start():
        params = model.init(jax.random.key(0), x, True)["params"]
        return jax.grad(loss, has_aux=True)(params)

    gradient, outputs = start()
    assert outputs.shape == (8, 12)
    assert outputs.dtype == jnp.float32
    assert (outputs < 0).any()
    assert (outputs > 0).any()
    for layer, leaves in gradient.items():
        assert all(jnp.isfinite(leaf).all() and leaf.any() for leaf in leaves.values()), layer


@pytest.mark.slow
def test_low_precision_keeps_parameters_and_outputs_in_float32():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 16, 16, 1), scale=50).astype(np.float32)
    low = CNNF(bits=12, dtype="bfloat16", **NARROW)
    wanted = {"params": shapes(low, 16, 16, 1)[1]["params"]}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(wanted))
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), wanted)
    found = low.apply(params, x, False)
    exact = CNNF(bits=12, **NARROW).apply(params, x, False)
    assert found.dtype == jnp.float32
    assert not jnp.array_equal(found, exact)
    np.testing.assert_allclose(found, exact, atol=0.05 * float(jnp.abs(exact).max()))


@pytest.mark.parametrize(
    ("stem", "side", "named"),
    [("published", 38, "39"), ("auto", 7, "8"), ("tiny", 28, "small")],
)
def test_refuses_what_does_not_fit(stem, side, named):
    with pytest.raises(InputError, match=named):
        shapes(CNNF(bits=12, stem=stem), side, side, 3)
