import sys
import types

import ml_collections
import numpy as np
import pytest

from jhash import data
from jhash.errors import InputError


@pytest.fixture(autouse=True)
def user_module(monkeypatch):
    """A module of the user's, as if it lay in the current folder."""
    module = types.ModuleType("users_own")

    def half_black(count, side=2):
        images = np.zeros((count, side, side), np.uint8)
        return data.ArraySource(images, np.arange(count) % 2)

    def first_is_query(source, seed):
        rest = np.arange(1, len(source))
        return data.Data(source, np.roll(rest, seed), rest, np.array([0]))

    module.half_black = half_black
    module.first_is_query = first_is_query
    module.all_train = lambda source, seed: data.Data(source, np.arange(len(source)), [1], [0])
    module.no_bytes = lambda: data.ArraySource(np.zeros((4, 2, 2)), np.arange(4))
    module.no_source = lambda: np.zeros(3)
    module.no_split = lambda source, seed: (source, seed)
    module.anything = lambda **options: half_black(options["number"])
    module.__spec__ = types.SimpleNamespace(name="users_own")
    monkeypatch.setitem(sys.modules, "users_own", module)


def test_embedded_by_default_needs_nothing():
    loaded = data.load("embedded", "embedded")
    assert (len(loaded.train), len(loaded.database), len(loaded.queries)) == (9000, 9000, 1000)
    other = data.load("embedded", "embedded", seed=1)
    assert not np.array_equal(loaded.queries, other.queries)


def test_a_source_and_a_split_of_the_users_own():
    loaded = data.load("users_own.half_black", "users_own.first_is_query", seed=1, count=4)
    assert loaded.source.image_shape == (2, 2, 1)
    np.testing.assert_array_equal(loaded.train, [3, 1, 2])
    loaded = data.load("users_own.half_black", "users_own.first_is_query", count=4, side=3)
    assert loaded.source.image_shape == (3, 3, 1)
    assert len(data.load("users_own.anything", "users_own.first_is_query", number=7).source) == 7


@pytest.mark.parametrize(
    ("source", "split", "options", "message"),
    [
        ("embeded", "embedded", {}, "source: 'embeded' given; allowed: embedded, fashion_mnist"),
        ("no_such.source", "embedded", {}, "source: module 'no_such' given; allowed: "),
        ("embedded", "embeded", {}, "split: 'embeded' given; allowed: official, lists, embedded"),
        ("embedded", "users_own.nothing", {}, "split: 'users_own.nothing' given; allowed: "),
        (
            "embedded",
            "embedded",
            {"folder": "x"},
            "source: .* unknown option folder; allowed: none",
        ),
        ("idx", "official", {}, "source: 'idx' given without the option folder; allowed: "),
        (
            "idx",
            "official",
            {"folder": "x", "fold": 1, "a": 2},
            "source: .* option a, fold; allowed: folder",
        ),
        ("tfds:cifar10", "official", {"name": "x"}, "unknown option name; allowed: data_dir"),
        (
            "users_own.half_black",
            "official",
            {},
            "source: .* given without the option count",
        ),
        ("users_own.no_source", "official", {}, "source: a ndarray given, which lacks labels"),
        (
            "embedded",
            "users_own.no_split",
            {},
            "split: .* given, which returns a tuple",
        ),
        ("embedded", "embedded", {"seed": -1}, "seed: -1 given; allowed: 0 and more"),
        (
            "embedded",
            "official",
            {},
            "split: 'official' given; allowed for this source: embedded, .* the parts test given",
        ),
        ("embedded", "embedded", {"seed": 1.5}, "seed: 1.5 given; allowed: 0 and more"),
        (None, "embedded", {}, "source: None given; allowed: a name"),
        ("embedded", 5, {}, "split: 5 given; allowed: a name"),
        ("random", "official", {"side": "8"}, "side: '8' given; allowed: int"),
        ("random", "official", {"multi_label": 1}, "multi_label: 1 given; allowed: bool"),
        ("idx", "official", {"folder": 5}, "folder: 5 given; allowed: str"),
    ],
)
def test_load_names_what_is_wrong(source, split, options, message):
    with pytest.raises(InputError, match=message):
        data.load(source, split, **options)


def config(source, split, options, seed=0):
    return ml_collections.ConfigDict(
        {"source": source, "split": split, "seed": seed, "options": options}
    )


def test_load_config_is_load_with_the_fields_and_leaves_none_to_the_source():
    loaded = data.load_config(
        config("users_own.half_black", "users_own.first_is_query", {"count": 4})
    )
    assert loaded.source.image_shape == (2, 2, 1)
    options = {"count": 4, "side": None}
    loaded = data.load_config(
        config("users_own.half_black", "users_own.first_is_query", options, seed=1)
    )
    assert loaded.source.image_shape == (2, 2, 1)
    np.testing.assert_array_equal(loaded.train, [3, 1, 2])


@pytest.mark.parametrize(
    ("source", "split", "options", "message"),
    [
        ("embeded", "embedded", {}, "config.data.source: 'embeded' given; allowed: embedded"),
        ("no_such.source", "embedded", {}, "config.data.source: module 'no_such' given"),
        ("embedded", "embeded", {}, "config.data.split: 'embeded' given; allowed: official"),
        ("embedded", "embedded", {"fold": 1}, "config.data.source: .* unknown option fold"),
        ("idx", "official", {}, "config.data.source: .* without the option folder"),
        ("idx", "official", {"folder": "gone"}, "config.data.options.folder: gone given"),
        ("lists", "lists", {"folder": "gone"}, "config.data.options.folder: gone given"),
        ("random", "official", {"channels": 2}, "config.data.options.channels: 2 given"),
        ("scenes", "official", {"seed": 1}, "config.data.options.seed: 1 .*: config.data.seed in"),
        ("random", "official", {"split": "x"}, "config.data.options.split: 'x' given; allowed: c"),
        ("scenes", "official", {"count": 1}, "config.data.options.count: 1 given"),
        ("scenes", "official", {"base": "x"}, "config.data.options.base: 'x' given"),
        ("tfds:none", "official", {"data_dir": "gone"}, "config.data.source: tfds:none given"),
        ("users_own.no_source", "official", {}, "config.data.source: a ndarray given"),
        ("embedded", "users_own.no_split", {}, "config.data.split: 'users_own.no_split' given"),
        ("embedded", "official", {}, "config.data.split: 'official' given; allowed for this"),
        (
            "random",
            "embedded",
            {},
            "config.data.split: 'embedded' given; allowed for this source: official, lists, fol",
        ),
        # No option of the source, so no field of the config.
        ("users_own.no_bytes", "official", {}, "images: float64"),
        ("users_own.half_black", "users_own.all_train", {"count": 4}, "train: 1 images given"),
    ],
)
def test_load_config_names_the_field(source, split, options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        data.load_config(config(source, split, options))


def test_load_config_names_the_seed():
    with pytest.raises(InputError, match=r"^config.data.seed: -1 given; allowed: 0 and more"):
        data.load_config(config("embedded", "embedded", {}, seed=-1))
