"""Both forms of a computation: equal, chosen by the platform, and in what is lowered for others."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jhash import forms
from jhash.errors import InputError
from jhash.losses import multi_label, pairwise, per_image, triplet
from jhash.models.layers import convolutions
from jhash.models.small_resnet import SmallResNet
from jhash.pretrained.efficientnet_lite import EfficientNetLite0
from tests.support.quick import quick_jit

# Rows that a chunk of 3 does not divide.
LABELS = np.array([0, 1, 2, 0, 1, 2, 3])
U = np.random.default_rng(0).normal(size=(7, 5))
SIMILAR = LABELS[:, None] == LABELS


def _pairs(u):
    return pairwise.log_distance_loss(0.25 + 0.5 * jax.nn.sigmoid(u), SIMILAR, threshold=1.0)


LOSSES = {
    "pairs of DAH": _pairs,
    "margin of DSTGeH": lambda u: multi_label.margin(u, (U[::-1] > 0).astype(np.float32)),
    "triplets of DNNH": lambda u: triplet.ranking_loss(u, SIMILAR, margin=1.0),
    "triplets of DTSH": lambda u: triplet.likelihood_loss(u, SIMILAR, margin=0.5),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def lowered(function, *arguments, platform):
    """The program that a platform would be given, without the platform."""
    form = "cpu" if platform == "cpu" else "accelerator"
    with forms.use(form):
        return export.export(jax.jit(function), platforms=[platform])(*arguments).mlir_module()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("chunk", [None, 3], ids=["at once", "in chunks"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_equal_in_both_forms(name, chunk, monkeypatch):
    weights = np.random.default_rng(1).normal(size=LOSSES[name](U).shape)

    def run(form):
        def values_and_gradient(u):
            values, pull = jax.vjp(LOSSES[name], u)
            return values, *pull(jnp.asarray(weights))

        with forms.use(form):
            return quick_jit(values_and_gradient)(U)

    expected = run("cpu")
    assert np.abs(expected[1]).max() > 0.01
    if chunk:
        # The numbers of an image are B L, L L or B B: 25 to 49.
        monkeypatch.setattr(per_image, "MAX_NUMBERS", 49 * chunk)
        jax.clear_caches()
    for found, wanted in zip(run("accelerator"), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("name", LOSSES)
def test_an_accelerator_has_no_loop_over_images(name, platform):
    def gradient(u):
        return jax.grad(lambda u: LOSSES[name](u).sum())(u)

    text = lowered(gradient, U.astype(np.float32), platform=platform)
    assert ("stablehlo.while" in text) == (platform == "cpu")


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_an_accelerator_computes_many_images_in_few_steps(platform):
    """1,000 images of 48 bits: 349 at once, so 2 steps and the rest, where a CPU has 1,000."""
    similar = jax.ShapeDtypeStruct((1000, 1000), bool)
    x = jax.ShapeDtypeStruct((1000, 48), jnp.float32)
    loss = functools.partial(pairwise.log_distance_loss, threshold=10.0)
    text = lowered(loss, x, similar, platform=platform)
    assert "tensor<2x349x48xf32>" in text
    assert "tensor<302x48x1000xf32>" in text
    assert "tensor<1000x48x1000xf32>" not in text


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_depthwise_layers_of_efficientnet(platform):
    model = EfficientNetLite0()
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    text = lowered(model.apply, variables, images, platform=platform)
    grouped = [line for line in text.splitlines() if "feature_group_count = " in line]
    grouped = [line for line in grouped if "feature_group_count = 1 " not in line]
    assert len(grouped) == (0 if platform == "cpu" else 16)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_bfloat16_convolutions_of_a_training_step(platform):
    """No patches are made on accelerators, and no convolution has float32 factors."""
    model = SmallResNet(8, widths=(8,))
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    init = functools.partial(model.init, train=False)
    variables = jax.eval_shape(init, jax.random.key(0), images)

    def gradient(variables, images):
        def loss(params):
            both = {**variables, "params": params}
            return model.apply(both, images, True, mutable=["batch_stats"])[0].sum()

        return jax.grad(loss)(variables["params"])

    text = lowered(gradient, variables, images, platform=platform)
    convolved = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    if platform == "cpu":
        assert not convolved
    else:
        # Each of three has a gradient by its kernel, and all but the first one by its input.
        assert len(convolved) == 3 + 3 + 2
        assert all(line.count("xbf16>") == 3 for line in convolved)


@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_convolutions_are_equal_in_both_forms(stride):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 4, 5)), jnp.float32)

    def run(form):
        with forms.use(form):
            convolved = functools.partial(convolutions.conv, dtype="bfloat16", stride=stride)
            y, pull = jax.vjp(convolved, x, kernel)
            return y, *pull(jnp.cos(y))

    forms_of_it = ("accelerator", "cpu")
    accelerator, cpu = (quick_jit(functools.partial(run, form))() for form in forms_of_it)
    for found, wanted in zip(accelerator, cpu, strict=True):
        assert found.dtype == jnp.float32
        # The accelerator's sums are rounded once more, to 8 bits.
        np.testing.assert_allclose(found, wanted, rtol=0.02, atol=0.02 * np.abs(wanted).max())


def test_a_program_for_all_platforms_has_both_forms():
    kernel = np.ones((3, 3, 4), np.float32)
    images = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32)

    def forward(x):
        return convolutions.depthwise(x, kernel)

    def program(*platforms):
        both = jax.jit(forms.for_platforms(forward))
        return export.export(both, platforms=platforms)(images)

    assert "feature_group_count = 4" not in program("cpu").mlir_module()
    assert "feature_group_count = 4" in program("cuda").mlir_module()
    everywhere = program("cpu", "cuda", "tpu")
    assert "feature_group_count = 4" in everywhere.mlir_module()
    x = np.random.default_rng(0).normal(size=images.shape).astype(np.float32)
    np.testing.assert_array_equal(everywhere.call(x), jax.jit(forward)(x))


def test_a_form_ends_with_its_block_and_a_jitted_function_has_one_program_for_each():
    traced = []

    @forms.jit(static_argnames="factor")
    def double(x, *, factor):
        traced.append(forms.for_cpu())
        return factor * x

    chosen = {"auto": True, "accelerator": False, "cpu": True}
    for form, cpu in (*chosen.items(), *chosen.items()):
        with forms.use(form):
            assert forms.for_cpu() == cpu
            assert double(3, factor=2) == 6
    assert traced == [True, False]
    with (
        pytest.raises(InputError, match="form: 'fast' given; allowed: auto, cpu, accelerator"),
        forms.use("fast"),
    ):
        pass


def test_the_platform_decides(monkeypatch):
    assert forms.for_cpu()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not forms.for_cpu()
