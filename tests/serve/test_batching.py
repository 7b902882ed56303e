"""Queries that come at once are answered at once, each as it would be alone."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.serve import batching, limits
from jhash.serve.batching import Batcher, BusyError, Query, UnknownImageError
from jhash.serve.collection import Served
from jhash.serve.metrics import Metrics

CODES = np.random.default_rng(0).integers(0, 1 << 16, (300, 1), dtype=np.uint32)


class Index:
    """An index in NumPy, which notes how many queries it is given."""

    bits = 16

    def __init__(self):
        self.searched = []

    def __len__(self):
        return len(CODES)

    def parse_ids(self, texts):
        return np.array([int(text) for text in texts])

    def codes(self, ids):
        if not 0 <= ids[0] < len(CODES):
            raise InputError("ids: unknown")
        return CODES[ids]

    def search(self, queries, k):
        self.searched.append((len(queries), k))
        distances = np.bitwise_count(queries ^ CODES.T).astype(np.int32)
        ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, ids, axis=1), ids


class Encoder:
    """The code of an image is the sum of its pixels."""

    image_shape = (2, 2, 1)

    def __init__(self):
        self.encoded = []

    def encode_arrays(self, images, batch_size):
        assert len(images) == batch_size
        self.encoded.append(batch_size)
        return images.sum(axis=(1, 2, 3), dtype=np.uint32)[:, None]


@pytest.fixture
def served():
    return Served(Index(), Encoder(), None)


def ask(served, queries, run=True):
    """The answers to queries that come at the same time; an error in the place of an answer."""

    async def main():
        batcher = Batcher(lambda: served, Metrics())
        task = asyncio.create_task(batcher.run() if run else asyncio.sleep(9))
        try:
            waiting = [batcher.search(query, k) for query, k in queries]
            return await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            task.cancel()

    return asyncio.run(main())


def pixels(value):
    return Query(pixels=np.full((2, 2, 1), value, np.uint8))


def test_twenty_clients_are_one_batch(served):
    kinds = [
        [(Query(identifier=str(n)), 5) for n in range(10)],
        [(pixels(n), 5) for n in range(5)],
        [(Query(code=CODES[n]), n + 1) for n in range(5)],
    ]
    queries = [query for kind in kinds for query in kind]
    answers = ask(served, queries)
    assert served.encoder.encoded == [16]
    assert served.index.searched == [(64, 64)]
    alone = [ask(served, [query])[0] for query in queries]
    for found, expected, (_, k) in zip(answers, alone, queries, strict=True):
        assert len(found.hits.ids) == k
        assert found.code == expected.code
        for one, other in zip(found.hits, expected.hits, strict=True):
            np.testing.assert_array_equal(one, other)
    assert answers[10].code == 0
    assert answers[11].code == 4


def test_sizes_are_few(served):
    for count in (1, 2, 4, 5, 16, 17, 64, 69):
        ask(served, [(pixels(n), 40) for n in range(count)])
    assert set(served.encoder.encoded) == {1, 4, 16}
    assert {size for size, _ in served.index.searched} <= {1, 4, 16, 64}
    assert {k for _, k in served.index.searched} == {64}


def test_many_results_are_searched_for_apart(served):
    ask(served, [(Query(identifier="1"), 5), (Query(identifier="2"), 900)])
    assert sorted(served.index.searched) == [(1, 64), (1, 300)]


def test_one_that_cannot_be_answered_spoils_no_other(served):
    answers = ask(
        served,
        [
            (Query(identifier="1"), 1),
            (Query(identifier="1000"), 1),
            (Query(pixels=np.zeros((3, 3, 1), np.uint8)), 1),
            (Query(code=np.zeros(2, np.uint32)), 1),
            (pixels(1), 1),
        ],
    )
    assert answers[0].hits.ids.tolist() == [1]
    assert isinstance(answers[1], UnknownImageError)
    assert str(answers[1]) == "There is no image '1000' in the index. It may be removed by now."
    assert str(answers[2]).startswith("image: one for another encoder")
    assert str(answers[3]) == "code: 64 bits given; allowed: 16."
    assert answers[4].code == 4


def test_a_fault_ends_only_its_batch(served, monkeypatch):
    async def main():
        batcher = Batcher(lambda: served, Metrics())
        task = asyncio.create_task(batcher.run())
        with monkeypatch.context() as patch:
            patch.setattr(Index, "search", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await batcher.search(Query(identifier="1"), 1)
        found = await batcher.search(Query(identifier="1"), 1)
        task.cancel()
        return found

    assert asyncio.run(main()).hits.ids.tolist() == [1]


def test_too_many_queries_are_sent_away(served, monkeypatch):
    monkeypatch.setattr(limits, "MAX_WAITING", 3)

    async def main():
        batcher = Batcher(lambda: served, Metrics())
        waiting = [asyncio.create_task(batcher.search(pixels(1), 1)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await batcher.search(pixels(1), 1)
        # One whose client has gone is not answered, and stops none of the others.
        waiting.pop().cancel()
        task = asyncio.create_task(batcher.run())
        found = await asyncio.gather(*waiting)
        task.cancel()
        return found

    assert len(asyncio.run(main())) == 2


def test_all_sizes_are_compiled_before(served):
    batching.compile_all(served)
    assert sorted(served.encoder.encoded) == [1, 4, 16]
    assert sorted(served.index.searched) == [(1, 64), (4, 64), (16, 64), (64, 64)]


def test_an_empty_index(served, monkeypatch):
    monkeypatch.setattr(Index, "__len__", lambda _: 0)
    found = ask(SimpleNamespace(index=served.index, encoder=served.encoder), [(pixels(1), 5)])[0]
    assert (len(found.hits.ids), len(found.hits.distances)) == (0, 0)
