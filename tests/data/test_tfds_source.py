"""Reads data sets that TFDS itself wrote, here without TensorFlow, and the ways to fail."""

import http.server
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import threading
import time

import cloudpickle
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jhash import data
from jhash.data import tfds_source, usable
from jhash.errors import InputError
from tests.support import hostile

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
    # As worker processes get it.
    copy = cloudpickle.loads(cloudpickle.dumps(source))
    np.testing.assert_array_equal(copy.images(indices), expected)
    np.testing.assert_array_equal(copy.kept.missing(indices), np.unique(indices))
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


@pytest.fixture
def copied(prepared, tmp_path):
    """A folder of data sets that a test may change: (its path, the folder of tiny_ids)."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return tmp_path, tmp_path / "tiny_ids/1.0.0"


def test_a_folder_imports_no_module(copied, monkeypatch):
    """TFDS imports the module of a feature's class, which may lie in the current folder."""
    folder, files = copied
    (folder / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(folder)
    features = files / "features.json"
    scalar = "tensorflow_datasets.core.features.scalar.Scalar"
    whole = features.read_text()
    features.write_text(whole.replace(scalar, "evil.Scalar"))
    assert "evil.Scalar" in features.read_text()
    with pytest.raises(
        InputError, match=r"^source: tfds:tiny_ids given, .* evil\.Scalar, which is"
    ):
        data.load("tfds:tiny_ids", "official", data_dir=folder)
    assert "evil" not in sys.modules
    features.write_text(whole)
    data.load("tfds:tiny_ids", "official", data_dir=folder)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("features.json", lambda text: text[: len(text) // 2]),
        ("features.json", lambda text: "[" * 9999),
        ("features.json", lambda text: '{"pythonClassName": "NoDot"}'),
        ("features.json", lambda text: text.replace("label", "lab\x1b[2J\n")),
        ("features.json", lambda text: text.replace('"3"', '"999999999999"')),
        ("dataset_info.json", lambda text: text[: len(text) // 2]),
        ("dataset_info.json", lambda text: text.replace("1.0.0", "x")),
        ("dataset_info.json", lambda text: text.replace("array_record", "no_format")),
    ],
)
def test_damaged_folders_end_in_one_line(copied, name, change):
    folder, files = copied
    content = (files / name).read_text()
    (files / name).write_text(change(content))
    assert (files / name).read_text() != content
    with pytest.raises(InputError, match=r"^(source|label_key|class_names): ") as caught:
        data.load("tfds:tiny_ids", "official", data_dir=folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_damaged_records_end_in_one_line(copied):
    folder, files = copied
    for path in files.glob("*.array_record*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"^source: tfds:tiny_ids given, whose files in .* cannot"):
        data.load("tfds:tiny_ids", "official", data_dir=folder)


@pytest.mark.parametrize(
    "name",
    [" image_folder", "", "a/b/root_dir=x", "kaggle:x", "huggingface:a/b", "../x", "a\nb", "a b"],
)
def test_names_that_are_no_data_set(name, tmp_path):
    """TFDS takes arguments for a builder from them, and fetches code for those with a namespace."""
    with pytest.raises(InputError, match=r"^source: 'tfds:.*' given; allowed: NAME, NAME/CON"):
        data.load(f"tfds:{name}", "official", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["image_folder", "coco/2017", "cifar10:3.*.*", "none/x:1.0.0"])
def test_names_with_a_config_or_a_version_that_are_not_prepared(name, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find_spec(name)
    )
    with pytest.raises(InputError, match=rf"^source: tfds:{re.escape(name)} given, which is not"):
        data.load(f"tfds:{name}", "official", data_dir=tmp_path)


class TinyPair(TinyIds):
    """Beside the image there are others, which are no images."""

    features = {  # noqa: RUF012
        **TinyIds.features,
        "mask": tfds.features.Image(encoding_format="png"),
        "frames": tfds.features.Sequence(tfds.features.Image(encoding_format="png")),
        "pages": tfds.features.Sequence({"page": tfds.features.Image(encoding_format="png")}),
    }

    def example(self, number):
        eps = lambda: io.BytesIO(hostile.EPS)  # noqa: E731
        others = {"mask": eps(), "frames": [eps(), eps()], "pages": [{"page": eps()}]}
        return {**super().example(number), **others}


def test_only_the_image_and_the_label_are_decoded(tmp_path, monkeypatch):
    """TFDS decodes all images of a record, by all that Pillow knows, PostScript included."""
    TinyPair(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program is started"))
    source = tfds_source.TfdsSource("tiny_pair", tmp_path, image_key="image")
    assert len(source) == TRAIN + TEST
    assert source.images(np.arange(10)).shape == (10, 6, 8, 3)
    assert source.unreadable(np.arange(10)) == [None] * 10
    with pytest.raises(InputError, match="it is damaged or of another format; allowed: JPEG"):
        tfds_source.TfdsSource("tiny_pair", tmp_path, 8, image_key="mask").images(np.arange(2))


@pytest.mark.parametrize("key", ["tags", "objects/label"])
def test_labels_are_read_without_parsing_anything_else(prepared, monkeypatch, key):
    parsed = set()
    parse = tfds.features.FeaturesDict.deserialize_example_np

    def spy(self, record, **options):
        example = parse(self, record, **options)
        parsed.update((name, *getattr(value, "keys", list)()) for name, value in example.items())
        return example

    monkeypatch.setattr(tfds.features.FeaturesDict, "deserialize_example_np", spy)
    source = tfds_source.TfdsSource("tiny_rows", prepared, image_size=5, label_key=key)
    assert parsed == {tuple(key.split("/"))}
    assert source.images(np.arange(2)).shape == (2, 5, 5, 3)


class TinyBroken(TinyIds):
    """Half of an image is missing, in a part that is not the training part."""

    def example(self, number):
        example = super().example(number)
        if number == TRAIN + 1:
            example["image"] = io.BytesIO(example["image"].read()[:99])
        return example


def test_a_broken_image_is_found_before_training(tmp_path):
    TinyBroken(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    loaded = data.load("tfds:tiny_broken", "official", data_dir=tmp_path)
    examined = usable.examine(loaded)
    (error,) = examined.unreadable.values()
    assert re.match(r"image \d of tfds:tiny_broken: .* cannot be read|image \d of tfds:tiny", error)
    kept = usable.without_unreadable(loaded, examined)
    assert len(kept.train) + len(kept.queries) == len(loaded.train) + len(loaded.queries) - 1
