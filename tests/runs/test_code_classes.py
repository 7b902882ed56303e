"""The classes of an index's codes."""

import numpy as np
import pytest

from jhash.retrieval import HammingIndex
from jhash.runs import code_classes, code_files, paths
from tests.support.packed import random_codes


def of_run(folder, labels, **metadata):
    """The classes of images 7, 3 and 5 of a run whose database is 3, 5, 7."""
    codes = random_codes(3, 32)
    path = paths.codes(str(folder), "encoded")
    code_files.write(path, codes, np.array([3, 5, 7]), bits=32, labels=labels, network="ab")
    made_by = {"run": str(folder), "database": "encoded", "network": "ab"} | metadata
    index = HammingIndex.build(codes, 32, [3, 5, 7], made_by)
    return code_classes.of_index(index)(np.array([7, 3, 5, 9]))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([4, 0, 2], ["2", "4", "0", ""]),
        ([[1, 0, 1], [0, 0, 0], [0, 1, 0]], ["1", "0|2", "", ""]),
    ],
)
def test_of_the_database_of_a_run(labels, classes, tmp_path):
    assert of_run(tmp_path, np.array(labels)) == classes


@pytest.mark.parametrize(
    "metadata", [{"network": "cd"}, {"run": "/nowhere"}, {"database": "other"}, {"run": 3}]
)
def test_of_a_run_that_does_not_know_them(metadata, tmp_path):
    assert of_run(tmp_path, np.array([4, 0, 2]), **metadata) == [""] * 4


def test_of_images():
    names = ["cats/7.png", "8.png", "/photos/a dog/9.png"]
    index = HammingIndex.build(random_codes(3, 32), 32, names)
    assert code_classes.of_index(index)(np.array(names, object)) == ["cats", "", "a dog"]
