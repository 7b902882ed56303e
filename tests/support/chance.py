"""What a ranking at random scores, for tests that say that something was learned."""

import numpy as np

from jhash import retrieval
from jhash.runs import code_files, paths


def mean_average_precision(folder, bits, percent=100.0):
    """Returns the MAP over the first percent of the ranking, if the database's codes are shuffled.

    It is no mean of 1 / classes: of few images, some are found early by chance.
    """
    queries = _read(folder, "queries", bits)
    database = _read(folder, "encoded", bits)
    order = np.random.default_rng(0).permutation(len(database.codes))
    at = retrieval.top_percent(percent, len(database.codes))
    sides = (queries.codes, database.codes[order], queries.labels, database.labels)
    return retrieval.mean_average_precision(*sides, bits, at=at)


def _read(folder, name, bits):
    return code_files.read_labeled(paths.codes(str(folder), name), bits)
