import sys
import types

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
        return data.Arrays(images, np.arange(count) % 2)

    def first_asks(source, seed):
        rest = np.arange(1, len(source))
        return data.Data(source, np.roll(rest, seed), rest, np.array([0]))

    module.half_black = half_black
    module.first_asks = first_asks
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
    loaded = data.load("users_own.half_black", "users_own.first_asks", seed=1, count=4)
    assert loaded.source.image_shape == (2, 2, 1)
    np.testing.assert_array_equal(loaded.train, [3, 1, 2])
    loaded = data.load("users_own.half_black", "users_own.first_asks", count=4, side=3)
    assert loaded.source.image_shape == (3, 3, 1)
    assert len(data.load("users_own.anything", "users_own.first_asks", number=7).source) == 7


@pytest.mark.parametrize(
    ("source", "split", "options", "message"),
    [
        ("embeded", "embedded", {}, "source: got 'embeded'; allowed are embedded, fashion_mnist"),
        ("no_such.source", "embedded", {}, "source: no module named 'no_such'"),
        ("embedded", "embeded", {}, "split: got 'embeded'; allowed are official, lists, embedded"),
        ("embedded", "users_own.nothing", {}, "split: module users_own has no 'nothing'"),
        ("embedded", "embedded", {"folder": "x"}, "unknown option folder; allowed are none"),
        ("idx", "official", {}, "needs the option folder"),
        ("idx", "official", {"folder": "x", "fold": 1, "a": 2}, "unknown option a, fold; .*folder"),
        ("tfds:cifar10", "official", {"name": "x"}, "unknown option name; allowed are data_dir"),
        ("users_own.half_black", "official", {}, "needs the option count"),
        ("users_own.no_source", "official", {}, "a ndarray lacks labels"),
        ("embedded", "users_own.no_split", {}, "users_own.no_split returned a tuple"),
        ("embedded", "embedded", {"seed": -1}, "seed: got -1"),
        ("embedded", "official", {}, "no part 'train'; it has test"),
    ],
)
def test_load_names_what_is_wrong(source, split, options, message):
    with pytest.raises(InputError, match=message):
        data.load(source, split, **options)
