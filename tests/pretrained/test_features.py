import jax
import ml_collections
import numpy as np
import pytest

from configs.baselines import shallow
from jhash import parallel
from jhash.data import ArraySource
from jhash.errors import InputError
from jhash.pretrained import features
from tests.support import tiny


@pytest.fixture
def config():
    found = ml_collections.ConfigDict(shallow.features())
    found.name, found.size, found.channels, found.batch = (
        "tests.support.feature_source.Pixels",
        8,
        1,
        16,
    )
    return found


@pytest.fixture
def source():
    return tiny.source()


INDICES = np.array([5, 3, 200, 17, 9])


def test_features_are_the_network_s_in_the_order_asked_for(config, source, tmp_path):
    from tests.support import feature_source

    found = features.load(config, source, INDICES, str(tmp_path))
    x = (source.images(INDICES).reshape(5, -1).astype(np.float64) - 100) / 50
    kernel = feature_source.load("7")["projection"]["kernel"]
    np.testing.assert_allclose(found, np.maximum(x @ kernel, 0), rtol=1e-4, atol=1e-4)
    assert found.dtype == np.float32


def test_a_function_of_images(config, source, tmp_path):
    config.name = "tests.support.feature_source.brightness"
    found = features.load(config, source, INDICES, str(tmp_path))
    expected = source.images(INDICES)[..., 0].mean(2) / 255
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_whole_parts_survive_a_kill_and_others_are_made_again(
    config, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(features, "_CHUNK", 30)
    indices = np.random.default_rng(0).permutation(240)[:100]
    made = []

    class Counting(ArraySource):
        def images(self, chosen):
            made.extend(chosen)
            return super().images(chosen)

    counting = Counting(source.images(np.arange(240)), source.labels)
    whole = features.load(config, counting, indices, str(tmp_path))
    (folder,) = tmp_path.iterdir()
    parts = sorted(path.name for path in folder.iterdir())
    assert parts == ["000000000.npy", "000000030.npy", "000000060.npy", "000000090.npy"]
    (folder / parts[2]).unlink()
    made.clear()
    again = features.load(config, counting, indices, str(tmp_path))
    np.testing.assert_array_equal(whole, again)
    assert set(made) == set(indices[:30]) | set(indices[60:90])  # The first are for the checksum.


def test_other_weights_images_or_sizes_are_other_features(config, source, tmp_path):
    def load(changes=(), source=source, indices=INDICES):
        changed = config.copy_and_resolve_references()
        changed.update(dict(changes))
        features.load(changed, source, indices, str(tmp_path))
        return len(list(tmp_path.iterdir()))

    assert load() == 1
    assert load() == 1
    assert load({"weights": "8"}) == 2
    assert load(indices=INDICES[::-1]) == 3
    dark = ArraySource(source.images(np.arange(240)) // 2, source.labels)
    assert load(source=dark) == 4
    assert load({"batch": 8}) == 5


def test_features_of_a_file(config, source, tmp_path):
    path = tmp_path / "features.npy"
    rows = np.random.default_rng(0).normal(size=(240, 3))
    np.save(path, rows)
    config.file = str(path)
    found = features.load(config, source, INDICES, str(tmp_path / "run"))
    np.testing.assert_array_equal(found, np.float32(rows[INDICES]))
    np.save(path, rows[:239])
    with pytest.raises(
        InputError, match=r"features.npy of shape \[239, 3\] given; allowed: \[240, z\]"
    ):
        features.load(config, source, INDICES, str(tmp_path))
    rows[5, 1] = np.nan
    np.save(path, rows)
    with pytest.raises(InputError, match=r"features.npy given; .* a feature is NaN or infinite"):
        features.load(config, source, INDICES, str(tmp_path))
    path.write_bytes(b"no array")
    with pytest.raises(
        InputError, match=r"config.method.features.file: .*features.npy given; .* does not begin"
    ):
        features.load(config, source, INDICES, str(tmp_path))


def test_bad_fields_are_named(config, source, tmp_path):
    config.name = "tests.support.feature_source.MEAN"
    with pytest.raises(
        InputError,
        match=r"'tests\.support\.feature_source\.MEAN' given; .* class of flax.* function",
    ):
        features.extractor(config)
    config.name = "inception_v4.InceptionV4"
    with pytest.raises(InputError, match=r"config.method.features.weights: none given"):
        features.extractor(config)


def test_devices_that_cannot_share_a_batch_are_idle(config, source, tmp_path):
    expected = features.load(config, source, INDICES, str(tmp_path / "all"))
    config.batch = 12
    assert 12 % parallel.device_count()
    assert features.check(config, source) == expected.shape[1]
    np.testing.assert_array_equal(
        features.load(config, source, INDICES, str(tmp_path / "some")), expected
    )


def test_processes_cannot_be_idle(config, source, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    config.batch = 12
    message = (
        r"^config\.method\.features\.batch: 12 given; .* multiples of the number of devices, 16"
    )
    with pytest.raises(InputError, match=message):
        features.load(config, source, INDICES, str(tmp_path))


def test_images_are_decoded_in_one_pass(config, source, tmp_path, monkeypatch):
    """Processes that decode images start with each; one chunk of three is there already."""
    expected = features.load(config, source, INDICES, str(tmp_path / "whole"))
    monkeypatch.setattr(features, "_CHUNK", 2)
    features.load(config, source, INDICES, str(tmp_path))
    (kept,) = tmp_path.glob("features-*")
    for start in (0, 4):
        (kept / f"{start:09}.npy").unlink()
    passes, prefetch = [], features.batches.prefetch

    def counted(source, orders, workers):
        orders = list(orders)
        passes.append(len(orders))
        return prefetch(source, orders, workers=workers)

    monkeypatch.setattr(features.batches, "prefetch", counted)
    found = features.load(config, source, INDICES, str(tmp_path))
    np.testing.assert_array_equal(found, expected)
    assert passes == [2]


def test_runs_can_share_a_folder(config, source, tmp_path, monkeypatch):
    own, shared = tmp_path / "own", tmp_path / "shared"
    with features.shared(str(shared)):
        first = features.load(config, source, INDICES, str(own))
    assert not own.exists()

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(features.parallel, "replicate", refuse)
    with features.shared(str(shared)):
        np.testing.assert_array_equal(first, features.load(config, source, INDICES, str(own)))
    with pytest.raises(AssertionError, match="computed again"):
        features.load(config, source, INDICES, str(own))
    # The last image is none of the first chunk.
    monkeypatch.setattr(features, "_CHUNK", 4)
    other = source.images(np.arange(240)).copy()
    other[INDICES[-1]] += 1
    with features.shared(str(shared)), pytest.raises(AssertionError, match="computed again"):
        features.load(config, ArraySource(other, source.labels), INDICES, str(own))


def test_features_need_not_be_kept(config, source, tmp_path):
    kept = features.load(config, source, INDICES, str(tmp_path))
    np.testing.assert_array_equal(features.load(config, source, INDICES, None), kept)
