"""Groups of equal labels against loops over images."""

import numpy as np
import pytest

from jhash.solvers import label_groups


@pytest.mark.parametrize("classes", [3, 8, 21])
@pytest.mark.parametrize("order", ["C", "F"])
def test_label_rows_are_grouped_by_equality(classes, order):
    """`labels[:, columns]`, the usual choice of classes, is in Fortran's order."""
    rng = np.random.default_rng(0)
    distinct = np.unique(rng.integers(0, 2, (6, classes)), axis=0)
    labels = distinct[rng.integers(0, len(distinct), 200)].astype(np.uint8, order=order)
    groups, index = label_groups.group_by_label(labels, classes)
    assert groups.dtype == np.float32
    assert len(groups) == len({tuple(row) for row in labels.tolist()})
    np.testing.assert_array_equal(groups[index], labels)


def test_rows_of_class_ids_reach_to_the_largest_id():
    np.testing.assert_array_equal(label_groups.rows([2, 0]), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(label_groups.rows(np.uint8([[1, 1, 0]])), [[1, 1, 0]])


def test_groups_of_class_ids_are_all_classes():
    labels = np.array([2, 0, 2, 0], np.int32)  # No image of classes 1 and 3.
    groups, index = label_groups.group_by_label(labels, 4)
    np.testing.assert_array_equal(groups, np.eye(4))
    assert groups.dtype == np.float32
    np.testing.assert_array_equal(index, labels)


def test_one_hot():
    for labels in (np.array([2, 0]), np.array([[0, 0, 1], [1, 0, 0]], np.uint8)):
        rows = label_groups.one_hot(labels, 3)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("kind", ["ids", "rows"])
def test_groups_are_found_again(kind):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 50) if kind == "ids" else rng.integers(0, 2, (50, 11), np.uint8)
    groups, index = label_groups.group_by_label(labels, 4)
    some = rng.integers(0, 50, 20)
    np.testing.assert_array_equal(label_groups.find_groups(labels[some], groups), index[some])


def test_rows_of_no_group_are_an_error():
    with pytest.raises(KeyError):
        label_groups.find_groups(np.ones((1, 3)), np.eye(3))
