"""The share of the neighbors by features that codes keep, for runs without labels."""

import sys

import numpy as np

from jhash import retrieval
from jhash.errors import InputError, printable
from jhash.pretrained import features
from jhash.runs import paths

NEIGHBORS = 10
# Numbers of queries and database images that are compared at most, evenly spaced.
_QUERIES, _DATABASE = 1000, 10_000


def measure(
    config, data, q_codes: np.ndarray, db_codes: np.ndarray, workdir: str
) -> dict[str, float | str]:
    """Measures how many of the 10 nearest images by features are among the 10 nearest by codes.

    The features are those from which the method learns, `config.method.features`. Where the run has
    computed them for its training they are read from its folder.

    Args:
      config: The config.
      data: The data.
      q_codes: Packed codes of the queries.
      db_codes: Packed codes of the database.
      workdir: Folder of the run.

    Returns:
      `neighbors_kept_<k>`, and `neighbors_by`, the name of what gives the features; nothing if the
      method has no features, or they cannot be computed here, which is said on stderr.
    """
    described = config.method.get("features")
    if described is None:
        return {}
    k = min(NEIGHBORS, len(db_codes))
    queries, database = _some(len(q_codes), _QUERIES), _some(len(db_codes), _DATABASE)
    try:
        q_features, db_features = (
            features.load(
                described,
                data.source,
                indices,
                paths.pretrain(workdir),
                config.data.get("workers", 0),
            )
            for indices in (data.queries[queries], data.database[database])
        )
    except InputError as error:
        print(f"jhash: neighbors are not compared: {printable(str(error))}", file=sys.stderr)
        return {}
    kept = retrieval.neighbors_kept(
        q_codes[queries], db_codes[database], q_features, db_features, config.bits, k
    )
    return {
        f"neighbors_kept_{k}": float(kept.mean()),
        "neighbors_by": described.file or described.name,
    }


def _some(count, most):
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
