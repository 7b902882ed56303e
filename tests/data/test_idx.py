import gzip
import os
import struct

import numpy as np
import pytest

from jhash.data import idx
from jhash.errors import InputError
from tests.support import memory


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
        (lambda data: gzip.compress(data)[:-30] + b"\xff" * 30, "cannot be read"),
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


def header(*shape):
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: header(2**32 - 1, 2**32 - 1, 2**32 - 1), "which is truncated: up to 16 bytes, "),
        (
            lambda: gzip.compress(header(2**16, 2**16, 1)),
            r"which is truncated: up to 67\d{6} bytes",
        ),
        (lambda: gzip.compress(header(9, 5, 4) + bytes(300 << 20), 1), "which has trailing bytes"),
        (lambda: gzip.compress(header(300 << 20, 1, 1) + bytes(300 << 20), 1), "truncated: up to "),
        (lambda: header(0, 28, 28), "whose dimensions are 0x28x28"),
        (lambda: header(9, 0, 4), "whose dimensions are 9x0x4"),
    ],
    ids=["huge", "inflates", "trailing_bomb", "bomb", "no_images", "no_rows"],
)
def test_what_a_header_declares_is_not_believed(tmp_path, content, message):
    """A few bytes that declare or inflate to gigabytes take no more than the file may hold."""
    path = tmp_path / "images.gz"
    path.write_bytes(content())
    expected = f"^path: {path} given, .*{message}"
    with memory.at_most(4 << 20), pytest.raises(InputError, match=expected) as caught:
        idx.read_idx(path, ndim=3)
    assert str(caught.value).isprintable()


def test_a_constant_image_may_be_compressed_as_far_as_it_goes(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header(60_000, 28, 28)[:16] + bytes(60_000 * 28 * 28)))
    assert idx.read_idx(path, ndim=3).shape == (60_000, 28, 28)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(InputError, match=f"^path: {path} given, .*Not a regular file"):
            idx.read_idx(path, ndim=1)
