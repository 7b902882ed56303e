"""A trace of some steps of a training, written into the run's folder by JAX's profiler."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jhash.errors import InputError
from jhash.runs import paths


@contextlib.contextmanager
def traced(
    step: Callable[..., Any], workdir: str, done: int, start: int, count: int
) -> Iterator[Callable[..., Any]]:
    """Traces some of the calls of a training step that are made in the block.

    The trace is written when the last of these steps is done, or when the block ends before that.
    A process that is killed meanwhile writes none; the next one traces those of the steps that it
    makes. A trace changes no result.

    Args:
      step: The step.
      workdir: Folder of the run.
      done: Number of steps done before the block.
      start: Number of the first step that is traced, from 1.
      count: Number of steps that are traced; 0 traces none.

    Yields:
      The step, to be called in its place.

    Raises:
      InputError: The program is being profiled already.
    """
    if not count:
        yield step
        return
    number, running = done, False

    def wrapped(*arguments):
        nonlocal number, running
        number += 1
        if start <= number < start + count and not running:
            _start(paths.profile(workdir))
            running = True
        # The profiler's pages tell steps apart by this.
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            result = step(*arguments)
        if running and number == start + count - 1:
            jax.block_until_ready(result)
            running = False
            jax.profiler.stop_trace()
        return result

    try:
        yield wrapped
    finally:
        if running:
            jax.profiler.stop_trace()


def _start(folder):
    try:
        jax.profiler.start_trace(folder)
    except RuntimeError as error:
        raise InputError(
            f"config.profile_steps: given in a program that is profiled already ({error}); "
            "allowed: 0."
        ) from error
