import numpy as np
import pytest
from PIL import Image

from jhash.data import ArraySource, sources
from jhash.errors import InputError

IMAGES = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)


def test_arrays_return_the_images_in_the_order_of_the_indices():
    source = ArraySource(IMAGES, np.array([0, 1, 2, 1]), parts={"test": [3, 0]})
    assert len(source) == 4
    assert source.image_shape == (2, 3, 1)
    assert source.class_names == ("0", "1", "2")
    assert source.labels.dtype == np.int32
    assert source.parts["test"].dtype == np.int64
    np.testing.assert_array_equal(source.images(np.array([2, 0, 2])), IMAGES[[2, 0, 2], ..., None])


def test_arrays_accept_color_and_multi_label():
    labels = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], bool)
    source = ArraySource(np.zeros((4, 2, 3, 3), np.uint8), labels, ("cat", "dog"))
    assert source.image_shape == (2, 3, 3)
    assert source.class_names == ("cat", "dog")
    assert source.labels.dtype == np.uint8
    np.testing.assert_array_equal(source.labels, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES.astype(np.float32)}, "images: float32 .* given; allowed: uint8"),
        ({"images": IMAGES[0]}, r"images: uint8 \[2, 3\] given"),
        ({"labels": np.array([0, 1, 2])}, "labels: 3 labels for 4 images given"),
        (
            {"labels": np.array([0, -1, 2, 0])},
            "labels: class ids from -1 given; allowed: 0",
        ),
        ({"labels": np.array([0.0, 1, 2, 0])}, "labels: float64 .* given; allowed: "),
        ({"labels": np.full((4, 2), 2)}, "zeros and ones"),
        ({"class_names": ["a", "b"]}, "class_names: 2 names for 3 classes given"),
        (
            {"parts": {"train": [0, 4]}},
            r"parts\['train'\]: .* 0 to 4 given; allowed: 0 to 3",
        ),
        ({"parts": {"train": [1, 1, 2]}}, r"parts\['train'\]: 3 indices with 1 duplicates given"),
        ({"parts": {"train": [0.5]}}, "train: float64 .* given; allowed: integers"),
        ({"images": IMAGES[:0], "labels": np.zeros(0, int)}, "source: no images given"),
    ],
)
def test_arrays_reject_bad_input(changes, message):
    with pytest.raises(InputError, match=message):
        ArraySource(**{"images": IMAGES, "labels": np.array([0, 1, 2, 1]), **changes})


def test_check_source_names_what_a_users_source_lacks():
    class Half:
        labels = np.zeros(3, np.int32)
        class_names = ("a",)

    with pytest.raises(
        InputError, match="source: a Half given, which lacks image_shape, parts, images, __len__;"
    ):
        sources.check_source(Half())


def test_check_source_rejects_the_wrong_dtype():
    source = ArraySource(IMAGES, np.array([0, 1, 2, 1]))
    source.labels = source.labels.astype(np.int64)
    with pytest.raises(InputError, match="labels: int64 given; allowed: arrays int32"):
        sources.check_source(source)


def test_relabeled_changes_labels_alone():
    source = ArraySource(IMAGES, np.array([0, 1, 2, 1]), parts={"train": [0, 1]})
    relabeled = sources.RelabeledSource(source, np.array([0, 0, 1, 0], np.int32), ("a", "b"))
    sources.check_source(relabeled)
    np.testing.assert_array_equal(relabeled.images(np.array([3])), source.images(np.array([3])))
    assert relabeled.parts is source.parts


def test_decode_images_converts_and_resizes(tmp_path):
    rows, columns = np.mgrid[:40, :30]
    pixels = np.stack([2 * rows, 4 * columns, rows + columns], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "color.png")
    Image.fromarray(pixels[:20, :10, 0]).save(tmp_path / "gray.png")
    paths = [str(tmp_path / name) for name in ("color.png", "gray.png")]
    decoded = sources.decode_images(paths, paths, (20, 10, 3))
    # A slope stays one away from the border: the mean of each block of 2x3 pixels.
    blocks = pixels.reshape(20, 2, 10, 3, 3).mean((1, 3))
    np.testing.assert_allclose(decoded[0, 1:-1, 1:-1], blocks[1:-1, 1:-1], atol=1)
    np.testing.assert_array_equal(decoded[1], np.repeat(pixels[:20, :10, :1], 3, axis=2))
    same = sources.decode_images(paths[:1], paths[:1], (40, 30, 3))
    np.testing.assert_array_equal(same[0], pixels)
    assert sources.decode_images(paths, paths, (20, 10, 1)).shape == (2, 20, 10, 1)
    assert sources.decode_images([], [], (20, 10, 3)).shape == (0, 20, 10, 3)


@pytest.mark.parametrize(
    ("pixels", "ending", "mode"),
    [
        (np.full((4, 4), 40_000, np.uint16), "png", "I"),
        (np.full((4, 4), 40_000, np.uint16), "tif", "I;16"),
        (np.full((4, 4), 40_000, np.int32), "tif", "I"),
        (np.full((4, 4), 0.5, np.float32), "tif", "F"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_gray_values_of_more_than_8_bits_are_refused(tmp_path, pixels, ending, mode, channels):
    """Pillow's `convert` would make white of all that is above 255, and black of 0.5."""
    path = str(tmp_path / f"wide.{ending}")
    Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match=f"image {path} cannot be read: .*mode {mode}"):
        sources.decode_images([path], [path], (4, 4, channels))


def test_missing_files_are_found_in_order(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(1000)]
    for number in range(1000):
        if number not in (3, 700):
            (tmp_path / f"{number}.png").touch()
    assert sources.missing_files(paths) == [paths[3], paths[700]]
