"""Reads data sets that TFDS itself wrote, here without TensorFlow, and the ways to fail."""

import http.server
import importlib.util
import io
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jhash import data
from jhash.data import tfds_source
from jhash.errors import InputError

TRAIN, TEST = 7, 3


def pixels(number, width):
    return np.random.default_rng(number).integers(0, 256, (6, width, 3), np.uint8)


def png(array):
    """A file object: TFDS stores its bytes as they are, while encoding arrays needs TensorFlow."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    file.seek(0)
    return file


class Tiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True
    # TFDS would look for the package of this file, by a module that only its extra installs.
    code_path = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(self.features),
            supervised_keys=self.supervised,
        )

    def _split_generators(self, manager):
        parts = {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST)}
        parts["hidden"] = range(20, 22)
        return {part: self._generate_examples(numbers) for part, numbers in parts.items()}

    def _generate_examples(self, numbers):
        for number in numbers:
            yield number, self.example(number)


class TinyIds(Tiny):
    supervised = ("image", "label")
    features = {  # noqa: RUF012
        "image": tfds.features.Image(shape=(6, 8, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["cat", "dog", "elk"]),
        "number": tfds.features.Scalar(np.int64),
    }

    def example(self, number):
        label = -1 if number >= 20 else number % 3
        return {"image": png(pixels(number, 8)), "label": label, "number": number}


class TinyRows(Tiny):
    supervised = None
    features = {  # noqa: RUF012
        "image": tfds.features.Image(encoding_format="png"),
        "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=["a", "b", "c", "d"])),
        "objects": tfds.features.Sequence(
            {
                "label": tfds.features.ClassLabel(names=["x", "y", "z"]),
                "area": tfds.features.Scalar(np.float32),
            }
        ),
    }

    def example(self, number):
        return {
            "image": png(pixels(number, 8 + number % 2)),
            "tags": [number % 4, 3] if number % 2 else [],
            "objects": [{"label": k % 3, "area": 1.0} for k in range(number % 5)],
        }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (TinyIds, TinyRows):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def originals(folder, name, key):
    """What TFDS itself reads: part -> values of the feature `key`."""
    builder = tfds.builder_from_directory(folder / name / "1.0.0")
    return {
        part: [record[key] for record in builder.as_data_source(part)]
        for part in builder.info.splits
    }


def test_class_ids(prepared):
    loaded = data.load("tfds:tiny_ids", "official", data_dir=prepared)
    source = loaded.source
    assert source.image_shape == (6, 8, 3)
    assert source.class_names == ("cat", "dog", "elk")
    assert source.labels.dtype == np.int32
    assert set(source.parts) == {"train", "test"}  # "hidden" has labels of -1
    assert (len(loaded.train), len(loaded.queries), len(source)) == (TRAIN, TEST, TRAIN + TEST)
    numbers = originals(prepared, "tiny_ids", "number")
    order = np.empty(len(source), int)  # TFDS shuffles what it writes
    for part in ("train", "test"):
        order[source.parts[part]] = numbers[part]
    np.testing.assert_array_equal(source.labels, order % 3)
    indices = np.array([9, 0, 8, 3, 3])  # both parts, out of order, one twice
    expected = np.stack([pixels(number, 8) for number in order[indices]])
    np.testing.assert_array_equal(source.images(indices), expected)
    assert source.images(np.zeros(0, int)).shape == (0, 6, 8, 3)
    for bad in (-1, 10):
        with pytest.raises(IndexError, match=f"indices: {bad} to {bad} given; allowed: 0 to 9"):
            source.images(np.array([bad]))


@pytest.mark.parametrize(("key", "classes"), [("tags", 4), ("objects/label", 3)])
def test_sequences_of_labels_become_rows(prepared, key, classes):
    source = tfds_source.TfdsSource("tiny_rows", prepared, image_size=5, label_key=key)
    assert source.image_shape == (5, 5, 3)
    assert source.labels.dtype == np.uint8
    assert source.images(np.arange(4)).shape == (4, 5, 5, 3)
    outer, _, inner = key.partition("/")
    for part, values in originals(prepared, "tiny_rows", outer).items():
        ids = [value[inner] if inner else value for value in values]
        expected = [[int(column in row) for column in range(classes)] for row in ids]
        np.testing.assert_array_equal(source.labels[source.parts[part]], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "label_key: None given, .*; allowed: image, objects, tags"),
        ({"label_key": "tag"}, "label_key: 'tag' given; allowed: .* image, objects, tags"),
        ({"label_key": "objects"}, "label_key: 'objects' given; allowed: class labels"),
        ({"label_key": "objects/area"}, "label_key: 'objects/area' given; allowed: class labels"),
        ({"label_key": "tags"}, "image_size: None given for images of different sizes"),
        (
            {"label_key": "tags", "image_key": "img"},
            "image_key: 'img' given; .*images, image\\.",
        ),
        ({"label_key": "tags", "image_size": 0}, "image_size: 0 given"),
    ],
)
def test_features_that_do_not_fit(prepared, options, message):
    with pytest.raises(InputError, match=message):
        data.load("tfds:tiny_rows", "official", data_dir=prepared, **options)


def test_unprepared_without_tensorflow_fails_at_once(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find_spec(name)
    )
    start = time.monotonic()
    with pytest.raises(
        InputError, match=r"^source: tfds:cifar10 given, which is not prepared under"
    ) as caught:
        data.load("tfds:cifar10", "cifar10_fdah", data_dir=tmp_path)
    assert time.monotonic() - start < 5
    assert "pip install -e '.[tfds]'" in str(caught.value)
    assert f"tfds build cifar10 --file_format=array_record --data_dir={tmp_path}" in str(
        caught.value
    )
    assert not list(tmp_path.iterdir())


def test_unprepared_without_network_fails_within_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name
    )  # as if TensorFlow were here
    built = []
    monkeypatch.setattr(tfds, "builder", lambda name, **_: built.append(name))
    monkeypatch.setattr(tfds_source, "_reachable", lambda host: False)
    with pytest.raises(InputError, match=r"storage\S* does not answer\. To prepare it"):
        data.load("tfds:cifar10", "cifar10_fdah", data_dir=tmp_path)
    assert not built, "the builder uses the network too, with retries"


def test_the_host_of_the_data_set_is_probed_too(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tfds_source, "_reachable", lambda host: "toronto" not in host)
    with pytest.raises(InputError, match=r"cs.toronto.edu/\S* does not answer\. To prepare it"):
        data.load("tfds:cifar10", "cifar10_fdah", data_dir=tmp_path)


def test_with_tensorflow_and_network_it_is_prepared_for_random_access(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tfds_source, "_reachable", lambda host: True)

    def builder(name, try_gcs, **options):
        assert (name, try_gcs) == ("cifar10", False)
        return TinyIds(**options)

    monkeypatch.setattr(tfds, "builder", builder)
    source = data.load("tfds:cifar10", "official", data_dir=tmp_path).source
    assert source.images(np.arange(10)).shape == (10, 6, 8, 3)
    assert list(tmp_path.glob("tiny_ids/1.0.0/*.array_record*"))

    def offline(self):
        raise ConnectionError("line cut")

    monkeypatch.setattr(TinyIds, "download_and_prepare", offline)
    with pytest.raises(InputError, match=r"preparing it failed: line cut\. To prepare it"):
        data.load("tfds:cifar10", "official", data_dir=tmp_path)


def test_unknown_names_are_rejected(tmp_path):
    with pytest.raises(
        InputError, match=r"^source: tfds:cifar11 .* TFDS has no builder of this name"
    ):
        data.load("tfds:cifar11", "official", data_dir=tmp_path)


def test_a_folder_without_random_access_is_rejected(tmp_path):
    TinyIds(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    info = tmp_path / "tiny_ids/1.0.0/dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(InputError, match=r"^source: .* as tfrecord; allowed: array_record and"):
        data.load("tfds:tiny_ids", "official", data_dir=tmp_path)


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(403)

    def log_message(self, *arguments):
        pass


class Silent(Refusing):
    def do_GET(self):
        time.sleep(2)


@pytest.mark.parametrize(("handler", "answer"), [(Refusing, True), (Silent, False)])
def test_probe_takes_any_answer_and_waits_no_longer_than_told(handler, answer):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        start = time.monotonic()
        assert tfds_source._reachable(f"http://127.0.0.1:{server.server_port}", 0.5) is answer
        assert time.monotonic() - start < 1.5
        server.shutdown()


def test_probe_of_nothing():
    assert not tfds_source._reachable("http://127.0.0.1:1", 0.5)
