import numpy as np

from jhash.retrieval.search import results


def pairs(found):
    return [(near.tolist(), places.tolist()) for near, places in results.split(found)]


ONE = [([0, 2, 2], [4, 1, 9]), ([], []), ([5], [3])]


def make(lists):
    return results.join((np.array(a, np.int32), np.array(b, np.int64)) for a, b in lists)


def test_join_take_and_leave_out():
    found = make(ONE)
    assert pairs(found) == ONE
    assert pairs(results.take(found, np.array([2, 0, 0, 1]))) == [ONE[2], ONE[0], ONE[0], ONE[1]]
    assert pairs(results.leave_out(found, found.distances == 2)) == [([0], [4]), ([], []), ONE[2]]
    assert pairs(results.none(2)) == [([], []), ([], [])]


def test_merging_keeps_the_order_of_distance_and_position():
    other = make([([0, 1, 2], [12, 10, 11]), ([7], [13]), ([], [])])
    merged = results.merge(make(ONE), other, 4)
    assert pairs(merged) == [([0, 0, 1, 2], [4, 12, 10, 1]), ([7], [13]), ([5], [3])]
    everything = pairs(results.merge(make(ONE), other, None))
    assert everything[0] == ([0, 0, 1, 2, 2, 2], [4, 12, 10, 1, 9, 11])


def test_ranges():
    assert results.ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert results.ranges(np.array([], int), np.array([], int)).tolist() == []
