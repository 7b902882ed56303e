import gzip
import struct

import numpy as np
import pytest

from jhash.data import idx
from jhash.errors import InputError


def encode(array):
    """The idx format by its definition: magic, big-endian sizes, bytes."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.tobytes()


def write_part(folder, prefix, images, labels, gz=False):
    for array, suffix in ((images, "images-idx3"), (labels, "labels-idx1")):
        data = encode(array)
        path = folder / f"{prefix}-{suffix}-ubyte{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(data) if gz else data)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (9, 5, 4), np.uint8), rng.integers(0, 3, 9).astype(np.uint8)


def test_embedded_is_fashion_mnist_t10k():
    source = idx.embedded()
    assert source.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(np.bincount(source.labels), np.full(10, 1000))
    np.testing.assert_array_equal(source.parts["test"], np.arange(10000))
    # The first labels of t10k: 9, 2, 1, 1.
    assert [source.class_names[label] for label in source.labels[:4]] == [
        "Ankle boot",
        "Pullover",
        "Trouser",
        "Trouser",
    ]
    everything = source.images(np.arange(10000))
    assert everything.mean() == pytest.approx(73.147, abs=0.01)


def test_idx_reads_both_parts_gzipped_or_not(tmp_path, arrays):
    images, labels = arrays
    write_part(tmp_path, "train", images[:6], labels[:6], gz=True)
    write_part(tmp_path, "t10k", images[6:], labels[6:])
    source = idx.idx(tmp_path)
    np.testing.assert_array_equal(source.images(np.arange(9))[..., 0], images)
    np.testing.assert_array_equal(source.labels, labels)
    np.testing.assert_array_equal(source.parts["train"], np.arange(6))
    np.testing.assert_array_equal(source.parts["test"], np.arange(6, 9))


def test_idx_reads_one_part(tmp_path, arrays):
    write_part(tmp_path, "train", *arrays)
    assert list(idx.idx(tmp_path).parts) == ["train"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "is truncated: .* bytes, but its dimensions 9x5x4"),
        (lambda data: data[:10], "is truncated: it ends inside its header"),
        (lambda data: data[:3], "starts with 000008"),
        (lambda data: data + b"x", "has trailing bytes"),
        (lambda data: b"\0\0\x0d\3" + data[4:], "starts with 00000d03"),
        (lambda data: b"\0\0\x08\1" + data[4:], "starts with 00000801"),
        (lambda data: data[:4] + b"\xff" * 12 + data[16:], "is truncated"),
        (lambda data: gzip.compress(data)[:-20], "cannot be read"),
        (lambda data: gzip.compress(data) + b"x", "cannot be read"),
        (lambda data: gzip.compress(data)[:20] + b"\xff" * 30, "cannot be read"),
    ],
)
def test_damaged_files_are_named(tmp_path, arrays, damage, message):
    write_part(tmp_path, "train", *arrays)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=f"^folder: {path} given, which {message}.*; allowed: "):
        idx.idx(tmp_path)


def test_idx_rejects_incomplete_folders(tmp_path, arrays):
    images, labels = arrays
    with pytest.raises(InputError, match=r"^folder: .* neither train-images-idx3-ubyte nor t10k"):
        idx.idx(tmp_path)
    write_part(tmp_path, "train", images, labels[:-1])
    with pytest.raises(InputError, match=r"^folder: .* has 9 images, train-labels\S* 8 labels"):
        idx.idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"^folder: .* no train-labels-idx1-ubyte"):
        idx.idx(tmp_path)
    write_part(tmp_path, "train", images, labels)
    write_part(tmp_path, "t10k", images[:, :, :2], labels)
    with pytest.raises(InputError, match=r"^folder: .*\(5, 2\), those of the train part \(5, 4\)"):
        idx.idx(tmp_path)


def test_read_idx_names_its_path(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=f"^path: {path} given, which starts with ; allowed: "):
        idx.read_idx(path, ndim=1)


def test_fashion_mnist_finds_its_folder(tmp_path, arrays, monkeypatch):
    monkeypatch.setenv("JHASH_FASHION_MNIST", str(tmp_path))
    write_part(tmp_path, "train", *arrays)
    with pytest.raises(
        InputError, match=r"^folder: .* no t10k-images-idx3-ubyte .*dataset-fashion"
    ):
        idx.fashion_mnist()
    write_part(tmp_path, "t10k", *arrays)
    assert len(idx.fashion_mnist()) == 18
    with pytest.raises(InputError, match="no train-images-idx3-ubyte and no t10k"):
        idx.fashion_mnist(tmp_path / "elsewhere")
