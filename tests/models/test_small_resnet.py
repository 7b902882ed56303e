"""SmallResNet against PyTorch's layers with the same parameters."""

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional

from jhash.models.small_resnet import SmallResNet

pytestmark = pytest.mark.usefixtures("quick_compilation")


def pytorch(variables, x, stages):
    """The outputs in evaluation mode, for float32 [B, H, W, C]."""
    params = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), variables["params"])
    stats = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), variables["batch_stats"])

    def layer(x, name):
        y = functional.conv2d(x, params[name].permute(3, 2, 0, 1), padding=1)
        norm, running = params[f"{name}_norm"], stats[f"{name}_norm"]
        y = functional.batch_norm(
            y, running["mean"], running["var"], norm["scale"], norm["bias"], eps=1e-5
        )
        return functional.relu(y)

    x = layer(torch.tensor(x).permute(0, 3, 1, 2), "stem")
    for stage in range(stages):
        x = functional.max_pool2d(x, 2, ceil_mode=True)
        x = layer(x, f"stage_{stage}_first")
        x = x + layer(x, f"stage_{stage}_second")
    return x.amax((2, 3)) @ params["hash"]["kernel"] + params["hash"]["bias"]


@pytest.mark.parametrize(("side", "channels"), [((28, 28), 1), ((11, 20), 3)])
def test_it_is_pytorchs(side, channels):
    model = SmallResNet(bits=5, stem=4, widths=(6, 7, 8), dtype="float32")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *side, channels)).astype(np.float32)
    variables = jax.jit(model.init, static_argnums=2)(jax.random.key(0), x, False)
    # Other values than 0 and 1, which hide a mistake.
    variables = jax.tree.map(
        lambda leaf: leaf + rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32), variables
    )
    found = model.apply(variables, x, False)
    assert found.shape == (3, 5)
    expected = pytorch(variables, x, 3).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_the_default_has_a_million_parameters_and_trains():
    model = SmallResNet(bits=12, stem=4, widths=(4, 4))
    x = np.ones((2, 8, 8, 1), np.float32)
    variables = model.init(jax.random.key(0), x, True)
    outputs, changed = model.apply(variables, x, True, mutable=["batch_stats"])
    assert outputs.dtype == np.float32
    assert np.abs(changed["batch_stats"]["stem_norm"]["mean"]).max() > 0
    model = SmallResNet(bits=24)
    shapes = jax.eval_shape(lambda key: model.init(key, x, False), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 1_169_528
