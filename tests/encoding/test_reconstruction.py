"""Images from features: a small invertible model, right, wrong by a known amount, or failing."""

import dataclasses
import json

import flax.linen as nn
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import torch

from jhash import evaluate, report
from jhash.encoding import SourceEncoder, reconstruction
from jhash.errors import InputError
from jhash.experiment import build
from jhash.runs import finished
from tests.support import tiny

NONE = {"lattice": None, "out_of_range_images": 0}
# The tiny data's queries are 200 to 239, of classes 0, 1, 2, 3, 0, ...
IDS = np.arange(200, 232)


class Coupling(nn.Module):
    """Halves (a, b) of an image's patches become (b, a + F(b)); mistakes on purpose are fields."""

    bits: int
    axis_name: str | None = None
    channels: int = 1
    lattice: int | None = None
    error: float = 0.0  # Of the inverse, times the image's place.
    lost: tuple[int, ...] = ()  # Places of images whose features are NaN.
    broken: tuple[int, ...] = ()  # Places of images whose inverse has an infinity.
    grow: int = 0  # Rows too many of the inverse.

    def setup(self):
        self.mix, self.head = nn.Dense(2 * self.channels), nn.Dense(self.bits)

    def __call__(self, x, train):
        return self.head(self._forward(x).reshape(len(x), -1))

    def features(self, images, train):
        assert not train
        assert self.axis_name is None, "there is no such axis on one device"
        lost = jnp.array([place in self.lost for place in range(len(images))])
        return jnp.where(lost[:, None, None, None], jnp.nan, self._forward(images))

    def inverse(self, features, train):
        assert not train
        b, sums = jnp.split(features, 2, axis=-1)
        x = jnp.concatenate([sums - self._round(self.mix(b)), b], axis=-1)
        count, rows, columns, channels = x.shape
        x = x.reshape(count, rows, columns, 2, 2, channels // 4).swapaxes(2, 3)
        x = x.reshape(count, 2 * rows, 2 * columns, channels // 4)
        x = jnp.nan_to_num(x)  # Finite values alone do not say that the features were.
        x = x + self.error * jnp.arange(count)[:, None, None, None]
        x = x.at[self.broken, 0, 0, 0].set(jnp.inf)
        return jnp.pad(x, [(0, 0), (0, self.grow), (0, 0), (0, 0)])

    def _forward(self, x):
        count, rows, columns, channels = x.shape
        x = self._round(x).reshape(count, rows // 2, 2, columns // 2, 2, channels).swapaxes(2, 3)
        a, b = jnp.split(x.reshape(count, rows // 2, columns // 2, -1), 2, axis=-1)
        return jnp.concatenate([b, a + self._round(self.mix(b))], axis=-1)

    def _round(self, x):
        return x if self.lattice is None else jnp.round(x * 2**self.lattice) / 2**self.lattice


def get_config(**model):
    config = tiny.get_config()
    config.model = {"name": f"{__name__}.Coupling", **model}
    return config


@pytest.fixture(scope="module")
def base():
    experiment = build(ml_collections.FrozenConfigDict(get_config()))
    return experiment, experiment.first()["train_state"].variables


@pytest.fixture
def measure(base, tmp_path):
    """Measures a model with other fields; returns the results and the file."""

    def measured(experiment=None, variables=None, **fields):
        experiment = experiment or base[0]
        experiment = dataclasses.replace(experiment, model=experiment.model.clone(**fields))
        results = reconstruction.measure(experiment, variables or base[1], str(tmp_path))
        with np.load(tmp_path / "reconstruction.npz") as file:
            return results, dict(file)

    return measured


def test_images_come_back(base, measure):
    results, saved = measure()
    assert 0 < results.pop("largest_difference") < 1e-4
    assert results == {"images": 32, "identical_images": 32, **NONE}
    source = tiny.source()
    expected = {
        "original": source.images(IDS),
        "reconstructed": source.images(IDS),
        "in_range": np.ones(32, bool),
        "ids": IDS,
        "labels": source.labels[IDS],
    }
    assert list(saved) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(saved[name], values)
        assert saved[name].dtype == values.dtype


def test_a_wrong_inverse_is_measured(measure):
    """Image i comes back 0.29 i gray levels too bright."""
    results, saved = measure(error=0.29 / 64)
    assert results.pop("largest_difference") == pytest.approx(0.29 * 31, abs=1e-3)
    assert results == {"images": 32, "identical_images": 2, **NONE}
    images = tiny.source().images(IDS)
    expected = np.rint(images + 0.29 * np.arange(32)[:, None, None, None])
    np.testing.assert_array_equal(saved["original"], images)
    np.testing.assert_array_equal(saved["reconstructed"], expected)


def test_values_beyond_white_are_not_identical(base, measure):
    """The file has them clipped, and so the same as the original."""
    white = np.full((240, 8, 8, 1), 255, np.uint8)
    source = tiny.ArraySource(white, tiny.source().labels)
    experiment = dataclasses.replace(base[0], data=tiny.split(source, 0))
    results, saved = measure(experiment, error=0.29 / 64)
    assert results["identical_images"] == 2
    assert results["largest_difference"] == pytest.approx(0.29 * 31, abs=1e-3)
    np.testing.assert_array_equal(saved["reconstructed"], white[:32])


def test_images_out_of_range_are_counted(measure):
    results, saved = measure(lost=(3, 5), broken=(5, 7), error=0.29 / 64)
    assert results.pop("largest_difference") == pytest.approx(0.29 * 31, abs=1e-3)
    assert results == {**NONE, "images": 32, "identical_images": 2, "out_of_range_images": 3}
    assert np.flatnonzero(~saved["in_range"]).tolist() == [3, 5, 7]
    assert not saved["reconstructed"][[3, 5, 7]].any()
    assert saved["reconstructed"][[2, 4, 6]].any(axis=(1, 2, 3)).all()


def test_all_images_out_of_range(base, measure):
    """Black images are not taken for the black that stands for a lost one."""
    source = tiny.ArraySource(np.zeros((240, 8, 8, 1), np.uint8), tiny.source().labels)
    experiment = dataclasses.replace(base[0], data=tiny.split(source, 0))
    results, _ = measure(experiment, lost=tuple(range(32)))
    json.dumps(results, allow_nan=False)
    assert results == {
        "images": 32,
        "identical_images": 0,
        "largest_difference": None,
        "lattice": None,
        "out_of_range_images": 32,
    }


def test_the_difference_counts_the_snap_to_the_lattice(base, measure):
    """On a lattice of 1/32 the inverse is exact, but a gray level is 1/64."""
    results, saved = measure(lattice=5)
    assert results["lattice"] == 5
    images = tiny.source().images(IDS).astype(np.float64)
    x = (images - base[0].mean) / 64
    snapped = np.rint(x * 32) / 32
    assert results["largest_difference"] == pytest.approx(64 * np.abs(snapped - x).max(), abs=1e-4)
    levels = np.clip(snapped * 64 + base[0].mean, 0, 255)
    assert np.abs(saved["reconstructed"] - levels).max() < 0.5 + 1e-4


@pytest.mark.slow
def test_images_as_the_model_sees_them(base, measure):
    """Resized, cropped, repeated: against PyTorch's resize, and whole gray levels go in."""
    config = get_config()
    config.image = {"size": 20, "scale": 1 / 64, "crop": 12, "channels": 3}
    experiment = dataclasses.replace(base[0], config=ml_collections.FrozenConfigDict(config))
    experiment = dataclasses.replace(experiment, model=experiment.model.clone(channels=3))
    results, saved = measure(experiment, {"params": experiment.first()["train_state"].params})
    assert results["identical_images"] == 32
    assert results["largest_difference"] < 1e-4
    images = torch.tensor(tiny.source().images(IDS)).permute(0, 3, 1, 2).double()
    resized = torch.nn.functional.interpolate(images, size=20, mode="bilinear", antialias=True)
    expected = resized[:, :, 4:16, 4:16].permute(0, 2, 3, 1).repeat(1, 1, 1, 3).numpy()
    assert saved["original"].shape == (32, 12, 12, 3)
    assert np.abs(saved["original"] - expected).max() < 0.5 + 1e-4


def in_turns(labels):
    """The order by hand: queues of the classes, served in turn."""
    queues = [[place for place, label in enumerate(labels) if label == c] for c in range(9)]
    order = []
    while any(queues):
        order += [queue.pop(0) for queue in queues if queue]
    return order


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_classes_take_turns(base, measure, multi_label):
    rng = np.random.default_rng(0)
    classes = np.zeros(240, np.int32)
    classes[200:] = rng.choice(6, 40, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    labels = classes
    if multi_label:
        # Further classes of an image come after its first; class 5 stands for none.
        later = np.arange(5) > classes[:, None]
        labels = (np.arange(5) == classes[:, None]) | (later & (rng.random((240, 5)) < 0.5))
        labels = labels.astype(np.uint8)
    source = tiny.ArraySource(tiny.source().images(np.arange(240)), labels)
    experiment = dataclasses.replace(base[0], data=tiny.split(source, 0))
    _, saved = measure(experiment)
    expected = 200 + np.array(in_turns(classes[200:]))[:32]
    np.testing.assert_array_equal(saved["ids"], expected)
    np.testing.assert_array_equal(saved["labels"], labels[expected])
    np.testing.assert_array_equal(saved["original"], source.images(expected))


def test_fewer_queries_than_images(base, measure):
    data = dataclasses.replace(base[0].data, queries=np.array([239, 200, 201]))
    results, saved = measure(dataclasses.replace(base[0], data=data))
    assert results["images"] == results["identical_images"] == 3
    assert saved["ids"].tolist() == [200, 201, 239]


def test_an_inverse_of_another_shape_is_refused(measure):
    with pytest.raises(
        InputError, match=r"name: .*Coupling given, whose inverse returns \(32, 9, 8, 1\); .*8, 8"
    ):
        measure(grow=1)


def test_a_model_without_inverse_leaves_nothing(tmp_path):
    experiment = build(ml_collections.FrozenConfigDict(tiny.get_config()))
    assert reconstruction.measure(experiment, {}, str(tmp_path)) is None
    assert not list(tmp_path.iterdir())


def test_a_run_says_what_came_back(base, tmp_path):
    experiment = dataclasses.replace(base[0], model=base[0].model.clone(lost=(1,)))
    saved = experiment.first()
    saved["train_state"] = saved["train_state"].replace(step=np.int32(experiment.steps_per_epoch))
    evaluate.evaluate(experiment, SourceEncoder(experiment), saved, str(tmp_path))
    stored = json.loads((tmp_path / "results.json").read_text())["reconstruction"]
    assert stored["identical_images"] == 31
    assert stored["out_of_range_images"] == 1
    page = report.reconstruction.section(finished.read_all([str(tmp_path)]))
    assert "31 of 32 images come back with every byte the same" in page
    assert page.count('alt="image') == 10 + 2 * 9
