"""The forward pass without jhash, against that of jhash."""

import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jhash
from jhash.errors import InputError
from jhash.methods.deep import aihn
from jhash.publishing import forward
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

# What a user without jhash runs; the finder stands for a machine on which it is not installed.
_ALONE = """
import sys
import numpy as np

class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("jhash", "flax"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing)
from jax import export

with open(sys.argv[1], "rb") as file:
    forward = export.deserialize(bytearray(file.read()))
images = np.load(sys.argv[2])
for count in (40, 7):
    codes, outputs = forward.call(images[:count])
    np.save(f"{sys.argv[3]}{count}.npy", codes)
    assert ((np.asarray(outputs)[:, 3] > 0) == (np.asarray(codes)[:, 0] >> 3 & 1)).all()
assert "jhash" not in sys.modules
"""


@pytest.mark.slow
def test_it_runs_without_jhash(given_away, tmp_path):
    images = tiny.source().images(np.arange(200, 240))
    np.save(tmp_path / "images.npy", images)
    # On one device, and with all optimizations.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    files = [given_away / "forward.jax", tmp_path / "images.npy", tmp_path / "codes"]
    command = [sys.executable, "-I", "-c", _ALONE, *map(str, files)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    expected = jhash.load(given_away).encode(images)
    np.testing.assert_array_equal(np.load(tmp_path / "codes40.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "codes7.npy"), expected[:7])


def encoder_of(function):
    return types.SimpleNamespace(pure_forward=lambda: function, image_shape=(2, 2, 1))


def test_what_needs_a_number_is_lowered_for_single_images():
    def function(images):  # len() has no answer where the size of a batch is open.
        return images.reshape(len(images), 4).astype(jnp.float32) - 5

    lowered = forward.lower(encoder_of(function))
    assert (lowered.batch, lowered.platforms) == (1, forward.PLATFORMS)
    images = np.array([9, 0, 0, 9], np.uint8).reshape(1, 2, 2, 1)
    codes, outputs = export.deserialize(lowered.content).call(images)
    assert (np.asarray(codes).tolist(), outputs.shape) == ([[0b1001]], (1, 4))


def test_what_other_platforms_lack_is_lowered_for_this_one(monkeypatch):
    def lower_here(function, platforms, usual=export.export):
        if len(platforms) > 1:
            raise NotImplementedError("no such kernel on tpu")
        return usual(function, platforms=platforms)

    monkeypatch.setattr(export, "export", lower_here)
    lowered = forward.lower(encoder_of(lambda images: images.reshape(-1, 4).astype(jnp.float32)))
    assert (lowered.batch, lowered.platforms) == (None, ("cpu",))
    codes, _ = export.deserialize(lowered.content).call(np.ones((3, 2, 2, 1), np.uint8))
    assert np.asarray(codes).tolist() == [[0b1111]] * 3


def test_what_cannot_be_traced_is_refused():
    with pytest.raises(InputError, match=r"workdir: .* cannot export; .*TracerArrayConversion"):
        forward.lower(encoder_of(lambda images: np.asarray(images)))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(forward.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"flatbuffers.*pip install 'jhash\[export\]'"):
        forward.check()


def test_checks_of_outputs_are_left_out_while_they_are_traced():
    outputs = jax.ShapeDtypeStruct((3, 8), jnp.float32)
    assert jax.eval_shape(aihn.hash_outputs, outputs).shape == (3, 8)
