import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jhash import models
from jhash.errors import InputError
from jhash.models.cnn_f import CNNF


def test_builds_by_name_with_fields():
    model = models.build("cnn_f.CNNF", 24, widths=[4, 6, 6, 6, 6], hidden=10)
    assert model == CNNF(bits=24, axis_name=None, widths=(4, 6, 6, 6, 6), hidden=10)
    assert hash(model) == hash(CNNF(bits=24, widths=(4, 6, 6, 6, 6), hidden=10))
    assert models.build("cnn_f.CNNF", 24, "devices").axis_name == "devices"


def test_builds_a_users_model(tmp_path, monkeypatch):
    (tmp_path / "users_model.py").write_text(
        "import flax.linen as nn\n"
        "class MyNet(nn.Module):\n"
        "    bits: int\n"
        "    axis_name: str | None = None\n"
        "    @nn.compact\n"
        "    def __call__(self, x, train):\n"
        "        return nn.Dense(self.bits)(x.reshape(x.shape[0], -1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = models.build("users_model.MyNet", 5)
    outputs, variables = model.init_with_output(jax.random.key(0), jnp.ones((2, 3, 3, 1)), True)
    assert outputs.shape == (2, 5)
    assert models.count_parameters(variables["params"]) == 9 * 5 + 5


@pytest.mark.parametrize(
    ("name", "bits", "fields", "message"),
    [
        (
            "cnn_f.CNNF",
            12,
            {"width": 3, "deep": 1},
            "^fields: deep, width given; allowed: bits, axis_name, dtype, .*, which cnn_f.CNNF has",
        ),
        ("cnn_f.CNNG", 12, {}, "^name: 'cnn_f.CNNG' given; allowed: .* module jhash.models.cnn_f"),
        ("cnn_g.CNNF", 12, {}, "^name: .*module.*'cnn_g'.* given; allowed: .*cnn_f"),
        ("alexnet.InputError", 12, {}, "^name: 'alexnet.InputError' given; .* flax.linen.Module"),
        ("cnn_f._pool", 12, {}, "^name: 'cnn_f._pool' given; .* flax.linen.Module"),
        ("cnn_f.CNNF", 0, {}, "^bits: 0 given; allowed: 1 and more"),
    ],
)
def test_refuses(name, bits, fields, message):
    with pytest.raises(InputError, match=message):
        models.build(name, bits, **fields)


def test_images_too_small_for_a_model_are_named_and_what_is_large_enough():
    model = models.build("small_cnn.SmallCNN", 12, axis_name="devices")
    with pytest.raises(InputError, match=r"^size: 3 given; allowed: sides .* such as 28, 32, 64"):
        models.check(model, "small_cnn.SmallCNN", 3, 3)
    assert models.check(model, "small_cnn.SmallCNN", 28, 3).shape == (1, 12)


def test_an_error_of_a_users_model_for_all_sizes_is_passed_on():
    class Wrong(nn.Module):
        bits: int = 12
        axis_name: str | None = None

        def __call__(self, x, train):
            return x.nothing

    with pytest.raises(AttributeError, match="nothing"):
        models.check(Wrong(), "users.Wrong", 28, 3)


def test_count_parameters_needs_no_arrays():
    tree = jax.eval_shape(lambda: nn.Dense(7).init(jax.random.key(0), jnp.zeros((1, 10**6))))
    assert models.count_parameters(tree) == 7_000_007
