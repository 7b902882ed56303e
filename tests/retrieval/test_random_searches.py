"""Random searches of random indexes against brute force; `campaigns/searches.py` makes more."""

import collections

import pytest

from tests.support import searching

pytestmark = pytest.mark.usefixtures("quick_compilation")


def run(seeds, limits):
    gone = collections.Counter()
    for seed in seeds:
        gone.update(searching.trial(seed, limits))
    return gone


def test_on_the_host():
    bits = (1, 12, 16, 31, 33, 48, 64, 65, 96, 128, 256, 512)
    limits = searching.Limits(bits, 250, searching.HOST, (False,), 3)
    gone = run(range(200), limits)
    assert sum(gone.values()) > 600
    assert min(gone[way] for way in searching.HOST) > 90


@pytest.mark.slow
def test_compiled():
    pytest.importorskip("numba")
    gone = run(range(1000, 1030), searching.Limits((40, 64), 2000, ("scan",), (True,), 4))
    assert gone["scan"] > 60


@pytest.mark.slow
def test_on_a_device():
    limits = searching.Limits((48,), 1500, searching.DEVICE, (False,), 4)
    gone = run(range(2000, 2008), limits)
    assert gone["groups on device"] > 10


def test_a_failure_names_its_seed(monkeypatch):
    monkeypatch.setattr(searching._Trial, "check_search", lambda self, *arguments: 1 / 0)
    with pytest.raises(AssertionError, match="seed 0: division by zero"):
        run([0], searching.Limits((12,), 100, searching.HOST, (False,), 20))
