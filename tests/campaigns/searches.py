"""Random searches of random indexes, compared with brute force.

    python tests/campaigns/searches.py --trials 2000

A trial makes an index of up to some thousand codes of any length, which are spread, clustered or
repeated, and changes it five times. After each change it searches for the nearest codes or within a
radius, for some queries or none, for all codes or those of a filter, in one thread or in four, and
by each of the ways that the index has. The trial ended well if all distances and ids are those of
brute force in NumPy. `--only NUMBER` repeats a trial; a message names the seed of its draws.
"""

import frame

from jhash.retrieval.search import host
from tests.support import searching

_BITS = (1, 8, 12, 16, 24, 31, 32, 33, 40, 48, 63, 64, 65, 96, 128, 160, 200, 256, 511, 512)
CASES = [
    ("on the host", searching.Limits(_BITS, 4000, searching.HOST, (False,), 5)),
    ("on a device", searching.Limits((12, 48, 64), 1800, searching.DEVICE, (False,), 5)),
]
if host.can_compile():
    CASES.append(("compiled", searching.Limits(_BITS, 4000, ("scan", "groups"), (True,), 5)))


def trial(limits, rng, scratch):
    """Makes one trial, with all draws from a seed that is drawn first."""
    del scratch
    gone = searching.trial(rng.getrandbits(32), limits)
    return frame.Outcome("as brute force", True, {"searches": sum(gone.values())} | gone)


if __name__ == "__main__":
    frame.main("searches", __doc__, CASES, trial, trials=2000)
