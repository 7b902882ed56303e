import numpy as np
import pytest

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
