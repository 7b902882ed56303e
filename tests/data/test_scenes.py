import itertools

import numpy as np
import pytest
from PIL import Image

from jhash import data
from jhash.data import idx, scenes, splits
from jhash.errors import InputError


@pytest.fixture(scope="module")
def source():
    return scenes.scenes(300)


@pytest.fixture(scope="module")
def layouts():
    """The items and places of the scenes of `source`."""
    items, parts = scenes.open_base("embedded")
    pools = {
        part: [indices[items.labels[indices] == label] for label in range(10)]
        for part, indices in parts.items()
    }
    return [
        scenes.layout(pools["train" if number % 10 else "test"], number, 56, 0)
        for number in range(300)
    ]


@pytest.fixture(scope="module")
def base():
    """The embedded images, as their own loader reads them."""
    return idx.embedded()


def overlap(a, b):
    """Pixels in both boxes, counted."""
    masks = np.zeros((2, 64, 64), bool)
    for mask, box in zip(masks, (a, b), strict=True):
        mask[box.top : box.top + box.side, box.left : box.left + box.side] = True
    return (masks[0] & masks[1]).sum()


def test_the_source_keeps_its_promises(source):
    assert len(source) == 300
    assert source.image_shape == (56, 56, 1)
    assert source.images(np.arange(2)).dtype == np.uint8
    assert (source.labels.dtype, source.labels.shape) == (np.uint8, (300, 10))
    assert source.class_names == idx.FASHION_MNIST_CLASSES
    counts = source.labels.sum(axis=1)
    assert np.unique(counts).tolist() == [2, 3, 4]
    assert np.bincount(counts)[2:].min() > 70
    assert source.labels.sum(axis=0).min() > 50


def test_labels_are_the_classes_of_the_pasted_items(source, layouts, base):
    for row, placed in zip(source.labels, layouts, strict=True):
        classes = base.labels[[each.item for each in placed]]
        assert len(set(classes)) == len(placed)
        np.testing.assert_array_equal(np.flatnonzero(row), np.sort(classes))


def test_a_scene_shows_its_items_and_nothing_else(source, layouts, base):
    images = source.images(np.arange(300))[..., 0]
    for image, placed in zip(images, layouts, strict=True):
        layers = []
        for item, side, top, left in placed:
            picture = Image.fromarray(base.images(np.array([item]))[0, ..., 0])
            picture = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
            assert (picture <= image[top : top + side, left : left + side]).all()
            bottom, right = 56 - top - side, 56 - left - side
            # A negative width, of an item beyond the border, is refused by `pad`.
            layers.append(np.pad(picture, ((top, bottom), (left, right))))
        np.testing.assert_array_equal(image, np.max(layers, axis=0))


def test_boxes_are_bounded_in_size_and_overlap(layouts):
    assert {box.side for placed in layouts for box in placed} == set(range(20, 29))
    shares = [
        overlap(a, b) / min(a.side, b.side) ** 2
        for placed in layouts
        for a, b in itertools.combinations(placed, 2)
    ]
    assert 0.2 < max(shares) <= 0.25
    assert min(shares) == 0


def test_no_item_is_in_a_query_and_in_the_database(source, layouts):
    loaded = data.load("scenes", "official", count=300)
    assert loaded.multi_label
    np.testing.assert_array_equal(loaded.train, loaded.database)
    np.testing.assert_array_equal(loaded.queries, np.arange(0, 300, 10))
    assert len(np.union1d(loaded.train, loaded.queries)) == 300
    in_queries, in_database = (
        {placed.item for number in numbers for placed in layouts[number]}
        for numbers in (loaded.queries, loaded.database)
    )
    assert not in_queries & in_database
    split = splits.embedded(idx.embedded(), 0)
    assert in_queries <= set(split.queries)
    assert in_database <= set(split.train)


def test_a_scene_depends_on_seed_and_number_alone(source):
    fewer = scenes.scenes(40)
    np.testing.assert_array_equal(fewer.images(np.arange(40)), source.images(np.arange(40)))
    np.testing.assert_array_equal(fewer.labels, source.labels[:40])
    other = scenes.scenes(40, scene_seed=1)
    assert not (other.labels == fewer.labels).all()


def test_the_docstring_tells_how_many_pairs_share_a_class(source):
    share = np.mean(
        [
            np.mean([min(row) < n for row in itertools.combinations(range(10), m)])
            for n, m in itertools.product(range(2, 5), repeat=2)
        ]
    )
    assert f"probability {share:.2f}" in scenes.scenes.__doc__
    labels = source.labels.astype(int)
    related = labels[source.parts["test"]] @ labels[source.parts["train"]].T > 0
    assert related.mean() == pytest.approx(share, abs=0.05)


def test_canvases_of_other_sides():
    for side in (28, 31, 112):
        source = scenes.scenes(12, image_size=side)
        assert source.image_shape == (side, side, 1)
        assert source.images(np.arange(12)).any(axis=(1, 2, 3)).all()


def test_items_of_all_of_fashion_mnist(tmp_path, monkeypatch):
    """A folder of few items, in the layout of the real one."""
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            path = tmp_path / f"{prefix}-{kind}-ubyte"
            path.write_bytes(header + array.astype(np.uint8).tobytes())
    monkeypatch.setenv("JHASH_FASHION_MNIST", str(tmp_path))
    items, parts = scenes.open_base("fashion_mnist")
    np.testing.assert_array_equal(parts["train"], np.arange(40))
    np.testing.assert_array_equal(parts["test"], np.arange(40, 60))
    assert len(items) == 60
    assert len(data.load("scenes", "official", base="fashion_mnist", count=20).queries) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count: 0 given; allowed: 2 and more"),
        ({"count": 1}, "count: 1 given; allowed: 2 and more"),
        ({"image_size": 27}, "image_size: 27 given; allowed: 28 and more"),
        ({"image_size": 10**13}, "count: 10000 given, of images of 10000000000000 x 1"),
        ({"scene_seed": -1}, "scene_seed: -1 given; allowed: 0 and more"),
        ({"base": "mnist"}, "base: 'mnist' given; allowed: embedded, fashion_mnist"),
        ({"folder": "x"}, "unknown option folder; allowed: count, image_size, scene_seed, base"),
    ],
)
def test_errors_name_the_option(options, message):
    with pytest.raises(InputError, match=message):
        data.load("scenes", "official", **options)
