"""Damaged and hostile files, some hundreds per target; `tests/fuzz.py` tries as many as one likes.

The first tests are of the fuzzing itself: it has to see what is wrong.
"""

import json
import re
import time

import numpy as np
import pytest

from jhash.errors import InputError
from tests.support import fuzzing
from tests.support.fuzzing import Target, targets

# Searches and models are compiled for mutants that differ.
pytestmark = pytest.mark.usefixtures("quick_compilation")
TARGETS = targets.load()
SEED = 17


@pytest.mark.parametrize("name", TARGETS)
def test_files_are_refused_in_one_line_or_read_rightly(name):
    counts = fuzzing.run(TARGETS[name], SEED, TARGETS[name].quick)
    assert not counts.failures, "\n".join(counts.failures[:10])
    assert counts.refused > 0


def _target(spoil, **fields):
    """A reader of JSON that does something bad for a file that is damaged."""

    def read(folder):
        try:
            return json.loads((folder / "a.json").read_bytes())
        except ValueError:
            return spoil(folder / "a.json")

    return Target("bad", lambda: [{"a.json": b'{"a": [1, 2, 3]}'}], read, **fields)


def _refuse(path, message):
    raise InputError(message)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: 1 / 0, "raises ZeroDivisionError: division by zero"),
        (lambda path: _refuse(path, "damaged"), "is refused without the name"),
        (lambda path: _refuse(path, f"{path}: {'x' * 2000}"), "is refused in 20.. characters"),
        (lambda path: bool(np.ones(2**25, np.uint8)[5]), "allocates 32 MiB for files of "),
        (lambda path: time.sleep(0.2), "takes more than 0.01 s"),
        (lambda path: {"a": [1, 2]}, "gives .* for "),
    ],
)
def test_what_is_wrong_is_seen(spoil, message):
    target = _target(spoil, oracle=lambda folder: {"a": [1, 2, 3]}, seconds=0.01)
    counts = fuzzing.run(target, 0, 8)
    assert counts.wrong == len(counts.failures) > 0
    assert any(re.search(message, failure) for failure in counts.failures)
