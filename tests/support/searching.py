"""Searches that go a given way, and random searches that are compared with brute force."""

import concurrent.futures
import contextlib
import itertools
from typing import NamedTuple
from unittest import mock

import numpy as np

from jhash.retrieval import HammingIndex
from jhash.retrieval.index import batches, searcher, sublinear
from jhash.retrieval.index.searcher import Searcher
from jhash.retrieval.search import host

HOST = ("scan", "look-up", "subset", "groups")
DEVICE = ("groups on device", "subset")


def go(monkeypatch, *names):
    """Makes an index search in the first of these ways that there is, or else in the usual one."""
    monkeypatch.setattr(Searcher, "_choose", _chooser(names))


def _chooser(names):
    def choose(self, found, usual=Searcher._choose):
        for name in names:
            for way in found:
                if way.name == name:
                    return way
        return usual(self, found)

    return choose


class Limits(NamedTuple):
    """Bounds of what random searches are drawn from: each program of a device takes seconds."""

    bits: tuple[int, ...]
    max_rows: int
    ways: tuple[str, ...]
    compiled: tuple[bool, ...]  # Whether scans on the host are compiled.
    searches: int  # In a trial.


def trial(seed: int, limits: Limits) -> dict[str, int]:
    """Makes an index, changes it and searches it, all at random.

    Args:
      seed: Determines all that happens.
      limits: Bounds.

    Returns:
      The number of searches by the way that they went.

    Raises:
      AssertionError: A result is not that of brute force. The message begins with the seed.
    """
    rng = np.random.default_rng(seed)
    gone: dict[str, int] = {}
    with _settings(rng, limits, gone):
        try:
            _Trial(rng, limits).run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    return gone


@contextlib.contextmanager
def _settings(rng, limits, gone):
    """Draws the way of the searches, and when they give up and what is scanned."""
    choose = _chooser(rng.permutation(limits.ways).tolist())

    def counted(self, found):
        way = choose(self, found)
        gone[way.name] = gone.get(way.name, 0) + 1
        return way

    compiled = rng.choice(limits.compiled)
    blocks = []
    if compiled:
        module = host._fast().compiled
        blocks.append((module, "_BLOCK", int(rng.choice([64, 1 << 13]))))
        blocks.append((module, "_CHUNK", int(rng.choice([1 << 10, 1 << 16]))))
    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (Searcher, "_choose", counted),
            (searcher, "_MIN_ROWS", 1),
            (searcher, "_GIVE_UP", rng.choice([0.01, 1, 100])),
            (searcher, "_FEW_DISTINCT", rng.choice([0.5, 2])),
            (sublinear, "_TRIALS", 2),
            (sublinear, "_FEW", rng.choice([0, 1 << 15])),
            (batches, "FIRST", 16),
            (batches, "_FACTOR", 128),
            (host, "_PATIENCE", 0 if compiled else np.inf),
            *blocks,
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


class _Trial:
    def __init__(self, rng, limits):
        self.rng, self.limits = rng, limits
        self.bits = int(rng.choice(limits.bits))
        self.fresh = 0
        self.text = rng.random() < 0.3
        self.spread = rng.choice([0.01, 0.05, 0.5])
        self.centers = self.pack(rng.random((rng.integers(1, 30), self.bits)) < 0.5)
        size = rng.integers(1, limits.max_rows) if rng.random() < 0.7 else rng.integers(1, 60)
        self.codes = self.draw(size)
        self.ids = self.new_ids(size)
        self.index = HammingIndex.build(self.codes, self.bits, self.ids)

    def run(self):
        for _ in range(self.limits.searches):
            self.change()
            if self.rng.random() < 0.6:
                # As if there had been many searches; what it brings does not matter.
                self.index._searcher._in_vain = {True: (-1, 0), False: (-1, 0)}
                self.index._searcher.group((1, self.bits), (None, 0))
            if not len(self.ids):
                continue
            searches = [self.search() for _ in range(self.rng.choice([1, 1, 4]))]
            if len(searches) == 1:
                searches[0]()
                continue
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for done in [pool.submit(search) for search in searches]:
                    done.result()

    def pack(self, on):
        data = np.zeros((len(on), -(-self.bits // 32) * 4), np.uint8)
        packed = np.packbits(on, axis=1, bitorder="little")
        data[:, : packed.shape[1]] = packed
        return data.view(np.uint32)

    def draw(self, count):
        """Codes around centers, which are near each other, or repeat."""
        flips = self.pack(self.rng.random((count, self.bits)) < self.spread)
        codes = self.centers[self.rng.integers(0, len(self.centers), count)] ^ flips
        if count and self.rng.random() < 0.5:
            codes = codes[self.rng.integers(0, max(1, count // 8), count)]
        return codes

    def new_ids(self, count):
        numbers = self.rng.permutation(np.arange(self.fresh, self.fresh + count))
        self.fresh += count
        return np.array([f"{n}.png" for n in numbers], object) if self.text else numbers

    def change(self):
        kind = self.rng.choice(["none", "add", "remove", "both"])
        if kind in ("remove", "both") and len(self.ids):
            gone = self.rng.random(len(self.ids)) < self.rng.choice([0.01, 0.2, 0.7])
            self.index.remove(self.ids[gone])
            self.ids, self.codes = self.ids[~gone], self.codes[~gone]
        if kind in ("add", "both"):
            added = self.rng.integers(1, 1 + self.limits.max_rows // 10)
            codes, ids = self.draw(added), self.new_ids(added)
            self.index.add(codes, ids)
            self.ids = np.concatenate([self.ids, ids])
            self.codes = np.concatenate([self.codes, codes])

    def search(self):
        """Draws a search; returns a function that makes and checks it."""
        rng, count = self.rng, len(self.ids)
        queries = self.draw(rng.choice([0, 1, 1, 2, 5, 40]))
        only, visible = None, np.ones(count, bool)
        kind = rng.choice(["all", "all", "mask", "ids"])
        if kind != "all":
            visible = rng.random(count) < rng.choice([0, 0.02, 0.5, 1])
            only = visible.copy() if kind == "mask" else rng.permutation(self.ids[visible])
        distances = np.bitwise_count(queries[:, None] ^ self.codes).sum(axis=2, dtype=np.int32)
        order = np.argsort(distances.astype(np.uint16), axis=1, kind="stable")
        hits = [row[visible[row]] for row in order]
        if rng.random() < 0.5:
            k = int(rng.choice([1, min(10, count), rng.integers(1, count + 1), count]))
            return lambda: self.check_search(queries, k, only, distances, hits)
        radius = int(rng.choice([0, 1, 2, self.bits // 4, self.bits]))
        radius = min(radius, self.bits)
        low = int(rng.integers(0, radius + 1)) if rng.random() < 0.3 else 0
        return lambda: self.check_radius(queries, radius, low, only, distances, hits)

    def check_search(self, queries, k, only, distances, hits):
        near, ids = self.index.search(queries, k, only)
        width = min([k, *map(len, hits)]) if len(queries) else near.shape[1]
        name = f"{self.bits} bits, {len(self.ids)} rows, k {k}, only {only is not None}"
        assert near.shape == ids.shape == (len(queries), width), f"{name}: {near.shape}"
        for row, found in enumerate(hits):
            assert ids[row].tolist() == self.ids[found[:k]].tolist(), f"{name}, query {row}: ids"
            assert near[row].tolist() == distances[row, found[:k]].tolist(), f"{name}: distances"

    def check_radius(self, queries, radius, low, only, distances, hits):
        limits, near, ids = self.index.search_radius(queries, radius, only, low)
        name = f"{self.bits} bits, {len(self.ids)} rows, radius {low} to {radius}"
        assert len(limits) == len(queries) + 1, name
        for row, (start, end) in enumerate(itertools.pairwise(limits)):
            every = distances[row, hits[row]]
            inside = hits[row][(every <= radius) & (every >= low)]
            assert ids[start:end].tolist() == self.ids[inside].tolist(), f"{name}, query {row}: ids"
            assert near[start:end].tolist() == distances[row, inside].tolist(), f"{name}: distances"
