"""Data that a program passes: made of arrays, and named in a config by their digest."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from jhash import data
from jhash.data import ArraySource, Data, in_memory
from jhash.errors import InputError
from tests.support import tiny

IMAGES = np.arange(7 * 4 * 5, dtype=np.uint8).reshape(7, 4, 5)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])


def arrays(**changes):
    given = {"train": (IMAGES[:4], LABELS[:4]), "queries": (IMAGES[4:6], LABELS[4:6])}
    return data.from_arrays(**{**given, **changes})


def test_arrays_become_the_sets():
    made = arrays()
    np.testing.assert_array_equal(made.source.images(made.queries)[..., 0], IMAGES[4:6])
    np.testing.assert_array_equal(made.labels(made.train), LABELS[:4])
    np.testing.assert_array_equal(made.database, made.train)
    assert made.source.class_names == ("0", "1", "2")
    apart = arrays(database=(IMAGES[6:], LABELS[6:]), class_names=("a", "b", "c"))
    np.testing.assert_array_equal(apart.source.images(apart.database)[..., 0], IMAGES[6:])
    np.testing.assert_array_equal(apart.labels(apart.database), LABELS[6:])
    assert apart.source.class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": IMAGES}, r"queries: a ndarray given; allowed: \(images, labels\)"),
        ({"queries": (IMAGES[:2, :3], LABELS[:2])}, r"queries: images uint8 \[2, 3, 5\] and"),
        ({"queries": (IMAGES[:2] / 255, LABELS[:2])}, "queries: images float64"),
        ({"queries": (IMAGES[:2], np.eye(3)[:2])}, r"queries: images .* and labels \[2, 3\] given"),
        ({"queries": (IMAGES[:2], LABELS[:3])}, "queries: 3 labels for 2 images given"),
        ({"queries": (IMAGES[:0], LABELS[:0])}, "queries: an empty set given"),
        ({"train": (IMAGES / 255, LABELS), "queries": (IMAGES / 255, LABELS)}, "images: float64"),
    ],
)
def test_bad_arrays_are_named(changes, message):
    with pytest.raises(InputError, match=f"^{message}"):
        arrays(**changes)


class Other:
    """Another source with the same content."""

    def __init__(self, source):
        self.labels, self.class_names = source.labels, source.class_names
        self.image_shape, self.parts, self.images = source.image_shape, {}, source.images
        self._source = source

    def __len__(self):
        return len(self._source)


def test_a_digest_is_that_of_the_content():
    made = arrays()
    digest = in_memory.digest(made)
    assert len(digest) == 16
    assert digest == in_memory.digest(dataclasses.replace(made, source=Other(made.source)))
    images, labels = IMAGES[:6].copy(), LABELS[:6].copy()
    images[3, 2, 1] ^= 1
    labels[5] = 0
    others = [
        dataclasses.replace(made, source=ArraySource(images, LABELS[:6])),
        dataclasses.replace(made, source=ArraySource(IMAGES[:6], labels)),
        dataclasses.replace(made, source=ArraySource(IMAGES[:6].swapaxes(1, 2), LABELS[:6])),
        dataclasses.replace(made, train=made.train[::-1]),
        dataclasses.replace(made, queries=made.queries[:1]),
        dataclasses.replace(made, train=made.train[:3], database=made.train[:3]),
        dataclasses.replace(made, train=made.train[:3], validation=made.train[:0]),
        arrays(class_names=("a", "b", "c")),
    ]
    digests = [in_memory.digest(other) for other in others]
    assert len({digest, *digests}) == 1 + len(others)


def test_a_config_names_the_data_and_does_not_load_them():
    made = arrays()
    config = in_memory.named(tiny.get_config(), made)
    assert config.data.source == f"in_memory:{in_memory.digest(made)}"
    assert (config.data.split, config.data.options.to_dict()) == ("in_memory", {})
    in_memory.check(config.data, made)
    with pytest.raises(InputError, match=r"^data: in_memory:\w+ given; allowed: the data of the"):
        in_memory.check(config.data, arrays(class_names=("a", "b", "c")))
    with pytest.raises(InputError, match=r"^config\.data\.source: 'in_memory:.*passed as data="):
        data.load_config(config.data)
    broken = ml_collections.ConfigDict(config)
    del broken.bits
    with pytest.raises(InputError, match=r"^config\.bits: none given"):
        in_memory.named(broken, made)


@pytest.mark.parametrize("given", [IMAGES, (IMAGES, LABELS), {"train": IMAGES}, "embedded"])
def test_other_things_than_data_are_refused(given):
    with pytest.raises(InputError, match=r"^data: a \w+ given; allowed: a jhash\.data\.Data"):
        in_memory.named(tiny.get_config(), given)
    assert isinstance(arrays(), Data)
