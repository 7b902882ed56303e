"""What the processes of a search run; see `tests/parallel/test_search.py`."""

import sys

import numpy as np

from tests.support import fork_server


def search(output, path, queries, place):
    """Searches by the command, then by the library, and prints the numbers that it found."""
    fork_server.begin([output, f"{output}.err"], devices=1)
    from jhash import parallel
    from jhash.commands import main
    from jhash.retrieval import HammingIndex

    coordinator, count, number = place
    where = ["--coordinator", coordinator, "--processes", str(count), "--process", str(number)]
    words = ["search", "--index", path, "--id", "4", "7", "-k", "2500", "--json", "--distributed"]
    status = main.main([*words, *where])
    if not status:
        index = HammingIndex.load(path, together=True)
        for array in (*index.search(queries, 30), *index.search_radius(queries, 25)):
            np.savetxt(sys.stdout, array, "%d")
    sys.stdout.flush()
    parallel.leave(status)
