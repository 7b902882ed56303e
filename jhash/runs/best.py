"""The best epoch of a training so far, by a metric of validation; a part of its checkpoints.

It is an entry `best` of a checkpoint's content, so a kill at any moment loses no more of it than of
the training itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def begin(first: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entry before the first validation.

    Args:
      first: The content of a checkpoint before the first epoch.

    Returns:
      A dict of `epoch`, the number of epochs done at the best validation (0 if there was none);
      `value`, the metric there; `worse`, the number of validations since; and `content`, what an
      evaluation of that epoch needs.
    """
    return _entry(0, 0.0, 0, first)


def update(
    best: Mapping[str, Any], epoch: int, value: float, content: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the entry after a validation; of equal values the first is the best.

    Args:
      best: The entry before it.
      epoch: Number of epochs done.
      value: The metric, which is better the larger it is.
      content: Function that returns the content of a checkpoint, on the host.
    """
    if best["epoch"] and value <= best["value"]:
        return {**best, "worse": np.asarray(int(best["worse"]) + 1)}
    return _entry(epoch, value, 0, content())


def exhausted(best: Mapping[str, Any] | None, patience: int) -> bool:
    """Tells if a training stops early.

    Args:
      best: The entry, or None if the training has none.
      patience: Number of validations in a row without a better value after which the training
        stops; 0 means that it never does.
    """
    return bool(patience) and best is not None and int(best["worse"]) >= patience


def chosen(saved: Mapping[str, Any]) -> tuple[Mapping[str, Any], int | None]:
    """Returns what of a checkpoint is evaluated.

    Args:
      saved: The content of a checkpoint, with or without the entry `best`.

    Returns:
      (content, epoch): a dict with `train_state` and `state`, and the number of epochs done there
      if a metric chose it, or None for the last epoch.
    """
    best = saved.get("best")
    if best is None or not best["epoch"]:
        return saved, None
    return best["content"], int(best["epoch"])


def _entry(epoch, value, worse, content):
    # The optimizer's state, which no evaluation needs, is often the larger part.
    train_state = content["train_state"].replace(opt_state=())
    return {
        "epoch": np.asarray(epoch),
        "value": np.asarray(value, np.float64),
        "worse": np.asarray(worse),
        "content": {"train_state": train_state, "state": content["state"]},
    }
