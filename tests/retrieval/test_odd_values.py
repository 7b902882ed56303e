"""Numbers of odd types are refused by name, in one line, wherever a public function takes one."""

import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.search import hamming, layout, sharded

CODES = np.zeros((3, 1), np.uint32)
LABELS = np.zeros(3, int)
HISTOGRAMS = np.ones((2, 9), int), np.zeros((2, 9), int)
ODD = {
    "8.5": 8.5,
    "8.0": 8.0,
    "np.float64": np.float64(8.0),
    "True": True,
    "np.True_": np.True_,
    "text": "8",
    "bytes": b"8",
    "nan": float("nan"),
    "inf": float("inf"),
    "huge": 10**5000,
    "large": 2**70,
    "negative": -(2**70),
    "minus": -1,
    "array": np.arange(100).reshape(10, 10),
    "array of one": np.array([8]),
    "list": [8],
    "complex": 8j,
}
INDEX = HammingIndex.build(CODES, 8, [5, 6, 7])
EMPTY = HammingIndex.build(CODES[:0], 8)
# The name of the argument, and what is called with the odd value.
CALLS = {
    "build": ("bits", lambda odd: HammingIndex.build(CODES, odd)),
    "unpack_codes": ("bits", lambda odd: retrieval.unpack_codes(CODES, odd)),
    "bit_balance": ("bits", lambda odd: retrieval.bit_balance(CODES, odd)),
    "distance_histograms": (
        "bits",
        lambda odd: retrieval.distance_histograms(CODES, CODES, LABELS, LABELS, odd),
    ),
    "mean_average_precision": (
        "bits",
        lambda odd: retrieval.mean_average_precision(CODES, CODES, LABELS, LABELS, odd),
    ),
    "mean_average_precision at": (
        "at",
        lambda odd: retrieval.mean_average_precision(CODES, CODES, LABELS, LABELS, 8, odd),
    ),
    "hamming_topk": ("k", lambda odd: retrieval.hamming_topk(CODES, CODES, odd)),
    "search": ("k", lambda odd: INDEX.search(CODES, odd)),
    "search an empty index": ("k", lambda odd: EMPTY.search(CODES, odd)),
    "search_radius": ("radius", lambda odd: INDEX.search_radius(CODES, odd)),
    "count_within": (
        "radius",
        lambda odd: hamming.count_within(layout.prepare(CODES), CODES, odd),
    ),
    "prepared search": ("k", lambda odd: hamming.search(layout.prepare(CODES), CODES, odd)),
    "sharded search": ("k", lambda odd: sharded.search(sharded.prepare(CODES), CODES, odd)),
    "average_precision": ("at", lambda odd: retrieval.average_precision(*HISTOGRAMS, odd)),
    "precision_at": ("n", lambda odd: retrieval.precision_at(*HISTOGRAMS, odd)),
    "recall_at": ("n", lambda odd: retrieval.recall_at(*HISTOGRAMS, odd)),
    "relevant_at": ("n", lambda odd: retrieval.relevant_at(*HISTOGRAMS, odd)),
    "precision_within": ("radius", lambda odd: retrieval.precision_within(*HISTOGRAMS, odd)),
    "recall_within": ("radius", lambda odd: retrieval.recall_within(*HISTOGRAMS, odd)),
    "top_percent of": ("n", lambda odd: retrieval.top_percent(50, odd)),
    "summarize map_at": ("map_at", lambda odd: retrieval.summarize(*HISTOGRAMS, map_at=odd)),
    "summarize precision_ranks": (
        "precision_ranks",
        lambda odd: retrieval.summarize(*HISTOGRAMS, precision_ranks=[odd]),
    ),
    "summarize lookup_radius": (
        "lookup_radius",
        lambda odd: retrieval.summarize(*HISTOGRAMS, lookup_radius=odd),
    ),
}
# A number that is not whole may be right here.
REAL = {
    "top_percent": ("percent", lambda odd: retrieval.top_percent(odd, 9)),
    "precision_at_recall": (
        "recall",
        lambda odd: retrieval.precision_at_recall(*HISTOGRAMS, odd),
    ),
    "summarize": (
        "map_at_percent",
        lambda odd: retrieval.summarize(*HISTOGRAMS, map_at_percent=odd),
    ),
}
# Ids are an argument of their own: a list, in which each of these is odd.
IDS = {
    "build": lambda ids: HammingIndex.build(CODES, 8, ids),
    "add": lambda ids: INDEX.add(CODES, ids),
    "remove": INDEX.remove,
    "codes": INDEX.codes,
}


def refused(call, name, odd):
    with pytest.raises(InputError) as error:
        call(odd)
    message = str(error.value)
    assert message.startswith(f"{name}: ")
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize("function", CALLS)
def test_odd_numbers_are_refused_by_name(function):
    name, call = CALLS[function]
    for odd in ODD.values():
        refused(call, name, odd)
    if name not in ("at", "map_at"):  # There, None means all ranks.
        refused(call, name, None)


@pytest.mark.parametrize("function", REAL)
def test_odd_real_numbers_are_refused_by_name(function):
    name, call = REAL[function]
    for key, odd in ODD.items():
        if key not in ("8.5", "8.0", "np.float64") or name == "recall":
            refused(call, name, odd)


@pytest.mark.parametrize("function", IDS)
def test_odd_ids_are_refused_by_name(function):
    call = IDS[function]
    for key, odd in ODD.items():
        if key != "text":
            refused(call, "ids", [odd, *(["a", "b"] if key == "minus" else [1, 2])])
        refused(call, "ids", odd)
    for odd in ([None, 1, 2], [1, 2, "a"], [1, 2, np.nan], np.arange(3.0), np.ones((3, 1), int)):
        refused(call, "ids", odd)
    refused(call, "ids", np.array([True, False, True]))
    refused(call, "ids", ["x" * 10_000, "x" * 10_000, "\x1b[31m\n"])
    refused(call, "ids", ["\0" * 9999, "b", "c"])
    assert len(INDEX) == 3


def test_integers_of_all_kinds_are_taken():
    for bits in (np.int8(8), np.uint64(8), 8):
        index = HammingIndex.build(CODES, bits, np.arange(3, dtype=np.uint8))
        assert type(index.bits) is int
        assert index.search(CODES[:1], np.int16(2))[1].tolist() == [[0, 1]]
    assert retrieval.top_percent(np.float32(50), np.int32(9)) == 5
    assert retrieval.average_precision(*HISTOGRAMS, np.int64(3)).tolist() == [0, 0]


@pytest.mark.parametrize("codes", [None, "codes", 5, [[1, 2], [3]], [[1]], np.zeros((3, 1))])
def test_codes_that_are_none_are_refused_by_name(codes):
    calls = {
        "codes": (lambda odd: HammingIndex.build(odd, 8), INDEX.add),
        "queries": (lambda odd: INDEX.search(odd, 1), lambda odd: INDEX.search_radius(odd, 1)),
    }
    for name, functions in calls.items():
        for call in functions:
            refused(call, name, codes)
    refused(lambda odd: retrieval.hamming_topk(odd, CODES, 1), "queries", codes)
    refused(lambda odd: retrieval.hamming_topk(CODES, odd, 1), "database", codes)
