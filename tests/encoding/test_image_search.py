"""Results that show the same picture come first; all others keep their order."""

import numpy as np
import pytest

from jhash.encoding import image_search
from jhash.encoding.image_search import Hits, Pictures
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from tests.support.textures import texture

# By code, image n has the distance n from the query, up to 12.
CODES = (2 ** np.minimum(np.arange(60), 12) - 1).astype(np.uint32)[:, None]
IDS = [f"{number}.png" for number in range(60)]
QUERY = np.zeros((1, 1), np.uint32)
WHOLE = texture(0)
# The first is larger in one dimension, the second loses some quality.
SAME = {"49.png": WHOLE, "30.png": WHOLE[10:170, 20:260]}


@pytest.fixture
def index():
    return HammingIndex.build(CODES, 12, IDS)


@pytest.fixture
def pictures():
    """The pictures of images; `seen` are the ids that were looked at."""
    others = texture(1)

    def find(identifier):
        find.seen.append(identifier)
        if identifier in ("0.png", "7.png"):
            return None  # The file is gone.
        return SAME.get(identifier, others)

    find.seen = []
    return Pictures([WHOLE], find)


def test_the_same_picture_comes_first(index, pictures):
    [plain] = image_search.nearest(index, QUERY, 3)
    assert (plain.ids.tolist(), plain.same.any()) == (IDS[:3], False)
    [hits] = image_search.nearest(index, QUERY, 5, pictures=pictures)
    assert hits.ids.tolist() == ["49.png", "30.png", *IDS[:3]]
    assert hits.distances.tolist() == [12, 12, 0, 1, 2]
    assert hits.same.tolist() == [True, True, False, False, False]
    assert sorted(pictures.find.seen) == sorted(IDS[: image_search.CANDIDATES])
    [every] = image_search.nearest(index, QUERY, 60, pictures=pictures)
    others = [name for name in IDS if name not in SAME]
    assert every.ids.tolist() == ["49.png", "30.png", *others]
    assert len(image_search.nearest(index, QUERY, pictures=pictures)[0].ids) == 10


def test_a_radius_keeps_its_results(index, pictures):
    [plain] = image_search.nearest(index, QUERY, radius=11)
    [hits] = image_search.nearest(index, QUERY, radius=11, pictures=pictures)
    assert hits.ids.tolist() == plain.ids.tolist() == IDS[:12]
    [hits] = image_search.nearest(index, QUERY, radius=12, pictures=pictures)
    assert sorted(hits.ids.tolist()) == sorted(IDS)
    assert hits.ids[:3].tolist() == ["49.png", "30.png", "0.png"]
    [hits] = image_search.nearest(index, QUERY, 1, 12, pictures)
    assert hits.ids.tolist() == ["49.png"]


def test_without_pictures_nothing_changes(index, pictures):
    [plain] = image_search.nearest(index, QUERY, 4)
    flat = np.zeros((90, 90, 3), np.uint8)
    for queries, find in (
        ([None], pictures.find),
        ([flat], pictures.find),
        ([WHOLE], lambda identifier: None),
    ):
        [hits] = image_search.nearest(index, QUERY, 4, pictures=Pictures(queries, find))
        for one, other in zip(hits, plain, strict=True):
            np.testing.assert_array_equal(one, other)
    assert pictures.find.seen == []


def test_few_images_and_wrong_numbers(pictures):
    index = HammingIndex.build(CODES[:2], 12, IDS[:2])
    [hits] = image_search.nearest(index, QUERY, pictures=pictures)
    assert hits.ids.tolist() == IDS[:2]
    with pytest.raises(InputError, match="k: 3 given"):
        image_search.nearest(index, QUERY, 3, pictures=pictures)
    none = Hits(*(values[:0] for values in hits))
    assert len(image_search.same_first(none, WHOLE, pictures.find).ids) == 0


def test_json_marks_the_same_picture_only():
    hits = Hits(np.int32([3, 0]), np.array(["b", "a"]), np.array([True, False]))
    assert image_search.as_json("q", hits)["results"] == [
        {"rank": 1, "distance": 3, "id": "b", "same_picture": True},
        {"rank": 2, "distance": 0, "id": "a"},
    ]


def test_a_picture_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    for path in (tmp_path / "bad.png", tmp_path / "gone.png", tmp_path, "\0"):
        assert image_search.picture(str(path), "name") is None
