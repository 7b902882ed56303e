"""Kills in the middle of a run, by an exception in place of a signal, and what a run leaves."""

import contextlib
import itertools

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest


class KilledError(Exception):
    """Raised in place of a signal."""


@contextlib.contextmanager
def during(module, name, at):
    """Kills the block in the first call of a function for which `at` is true, and ends it there.

    Args:
      module: Holder of the function.
      name: Name of the function.
      at: Function of the arguments; see `after`.
    """
    function = getattr(module, name)

    def killing(*arguments, **more):
        if at(*arguments):
            raise KilledError
        return function(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, killing)
        with pytest.raises(KilledError):
            yield


def after(calls):
    """Returns a function for `during` that is true once there were that many calls."""
    count = itertools.count()
    return lambda *_: next(count) >= calls


def checkpoint(folder, step=None):
    """Returns the checkpoint of a run after a step, or its last one: bytes, without its time."""
    manager = ocp.CheckpointManager(folder / "checkpoints")
    step = manager.latest_step() if step is None else step
    tree = manager.restore(step, args=ocp.args.StandardRestore())
    manager.close()
    tree.pop("seconds")
    return jax.tree.map(lambda leaf: np.asarray(leaf).tobytes(), tree)
