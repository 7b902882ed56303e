"""The Pallas kernel of the minima: XLA's results, interpreted, and programs for GPUs and TPUs."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jhash.retrieval.search import hamming, pallas_minima
from tests.support.quick import quick_jit


@pytest.mark.parametrize(("groups", "members", "words"), [(130, 4, 2), (3, 1, 3)])
def test_it_is_xlas_form(groups, members, words):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 32, (groups, members, words), dtype=np.uint32)
    queries = np.concatenate([codes[:2, 0], ~codes[:1, 0]])
    dead = np.arange(groups) % 3 == 2
    interpreted = functools.partial(pallas_minima.minima, interpret=True)
    found = quick_jit(interpreted)(codes, dead, queries)
    expected = quick_jit(hamming._minima)(codes[..., None], dead[:, None], queries)
    np.testing.assert_array_equal(found, expected[:, 0])
    assert found[0, 0] == found[1, 1] == 0
    assert (np.asarray(found)[dead] == 32 * words + 1).all()


@pytest.mark.parametrize(
    ("platform", "call"), [("cuda", "__gpu$xla.gpu.triton"), ("tpu", "tpu_custom_call")]
)
def test_it_is_lowered_for_accelerators(platform, call):
    shapes = (((300, 8, 2), jnp.uint32), ((300,), bool), ((20, 2), jnp.uint32))
    arguments = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    checks = [export.DisabledSafetyCheck.custom_call(call)]
    # JAX 0.12 asks which GPU it is.
    gpu = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", num_cores=None, platform="gpu")
    mesh = jax.sharding.AbstractMesh((1,), ("device",), abstract_device=gpu)
    with jax.sharding.use_abstract_mesh(mesh) if platform == "cuda" else contextlib.nullcontext():
        lowered = jax.jit(pallas_minima.minima)
        lowered = export.export(lowered, platforms=[platform], disabled_checks=checks)(*arguments)
    assert lowered.mlir_module().count(f"stablehlo.custom_call @{call}") == 1
