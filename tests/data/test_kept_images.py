"""Decoded images in memory: the same images, decoded once each while there is room."""

import concurrent.futures

import numpy as np
import pytest
from PIL import Image

from jhash.data.image_list import ImageListSource
from jhash.data.kept_images import KeptImages
from jhash.system import memory

SHAPE = (2, 3, 1)


def pixels(index):
    return np.full(SHAPE, 7 * index % 251, np.uint8)


def kept(monkeypatch, count, room):
    """Images of which `room` fit into memory, and the indices that were decoded, in order."""
    monkeypatch.setattr(memory, "available", lambda: 4 * 6 * room + 5)
    decoded = []

    def decode(indices):
        decoded.extend(indices.tolist())
        return np.stack([pixels(index) for index in indices])

    return KeptImages(count, SHAPE, decode), decoded


def test_an_image_is_decoded_once(monkeypatch):
    images, decoded = kept(monkeypatch, 10, 100)
    for indices in ([3, 1, 3], [1, 9, 0], [9, 9], []):
        found = images.read(np.array(indices, np.int64))
        assert found.dtype == np.uint8
        assert found.shape == (len(indices), *SHAPE)
        for image, index in zip(found, indices, strict=True):
            np.testing.assert_array_equal(image, pixels(index))
    assert sorted(decoded) == [0, 1, 3, 9]


@pytest.mark.parametrize("room", [0, 1, 4])
def test_what_does_not_fit_is_decoded_again(monkeypatch, room):
    images, decoded = kept(monkeypatch, 10, room)
    for _ in range(3):
        for start in (0, 5):
            found = images.read(np.arange(start, start + 5))
            np.testing.assert_array_equal(found[:, 0, 0, 0], 7 * np.arange(start, start + 5))
    assert len(decoded) == 3 * 10 - 2 * room
    assert images._images.nbytes == room * 6


def test_threads_read_the_same_images(monkeypatch):
    images, _ = kept(monkeypatch, 250, 120)

    def read(seed):
        indices = np.random.default_rng(seed).integers(0, 250, 40)
        return np.array_equal(images.read(indices)[:, 0, 0, 0], 7 * indices % 251)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))
    assert images._used == 120


def test_a_source_reads_a_file_once(tmp_path, monkeypatch):
    for number in range(3):
        Image.new("RGB", (8, 6), (40 * number, 7, 9)).save(tmp_path / f"{number}.png")
    for part, number in (("train", 0), ("database", 1), ("test", 2)):
        (tmp_path / f"{part}.txt").write_text(f"{number}.png 1 0\n")
    source = ImageListSource(tmp_path, image_size=4)
    first = source.images(np.array([2, 0]))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    np.testing.assert_array_equal(source.images(np.array([0, 2])), first[::-1])
    np.testing.assert_array_equal(first[:, 0, 0], [[80, 7, 9], [0, 7, 9]])


def test_no_more_are_kept_once_memory_is_short(monkeypatch):
    """Other processes of the host may keep images, too."""
    images, decoded = kept(monkeypatch, 10, 100)
    images.read(np.arange(3))
    monkeypatch.setattr(memory, "available", lambda: 4 * 6 * 100 // 2 - 1)
    for _ in range(2):
        found = images.read(np.arange(5))
        np.testing.assert_array_equal(found, np.stack([pixels(index) for index in range(5)]))
    assert sorted(decoded) == [0, 1, 2, 3, 3, 4, 4]
