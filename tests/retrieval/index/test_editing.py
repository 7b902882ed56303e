"""Changes of one index file from several threads, each with files and locks of its own."""

import contextlib
import os
import threading

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.index import editing
from jhash.retrieval.index.hamming_index import HammingIndex

CODE = np.zeros((1, 1), np.uint32)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "codes.index"
    HammingIndex.build(CODE, 8, [0]).save(str(path))
    return path


def ids_of(path):
    return HammingIndex.load(str(path)).ids.tolist()


@contextlib.contextmanager
def another(path, number):
    """Starts an edit of `path` in another thread; yields an event that its end sets."""
    done = threading.Event()

    def edit():
        with editing.editing(str(path)) as index:
            index.add(CODE, [number])
        done.set()

    thread = threading.Thread(target=edit, daemon=True)
    thread.start()
    yield done
    thread.join(10)
    assert done.is_set()


def removed(path):
    (path.parent / f".{path.name}.lock").unlink()
    return path


def through_a_link(path):
    link = path.parent / "link.index"
    link.symlink_to(path.name)
    return link


def whose_file_has_another_name(path):
    """The lock's file, replaced by another one."""
    lock = path.parent / f".{path.name}.lock"
    lock.rename(path.parent / "moved")
    lock.touch()
    return path


@pytest.mark.parametrize("reach", [removed, through_a_link, whose_file_has_another_name])
def test_an_edit_waits_for_the_one_before(path, reach):
    with contextlib.ExitStack() as stack, editing.editing(str(path)) as index:
        done = stack.enter_context(another(reach(path), 2))
        assert not done.wait(0.1)
        index.add(CODE, [1])
    assert ids_of(path) == [0, 1, 2]


def test_two_names_of_one_file_wait_for_each_other(path):
    """Each gets a file of its own by its edit, and none an older state."""
    other = path.parent / "other.index"
    os.link(path, other)
    with contextlib.ExitStack() as stack, editing.editing(str(path)) as index:
        done = stack.enter_context(another(other, 2))
        assert not done.wait(0.1)
        index.add(CODE, [1])
    assert (ids_of(path), ids_of(other)) == ([0, 1], [0, 2])


def edit(path, *more):
    """Adds a code, and does more before the end of the edit."""
    with editing.editing(str(path)) as index:
        index.add(CODE, [1])
        for step in more:
            step(index)


def test_what_another_program_put_there_stays(path):
    other = HammingIndex.build(CODE, 8, [7])
    with pytest.raises(InputError, match=f"index: {path} given, which another program removed or"):
        edit(path, lambda _: other.save(str(path)))
    assert ids_of(path) == [7]


def test_what_another_program_removed_stays_removed(path):
    with pytest.raises(InputError, match="Nothing was saved"):
        edit(path, lambda _: path.unlink())
    assert not path.exists()


def test_a_link_that_leads_elsewhere_meanwhile(path):
    """The index that it leads to now was not locked."""
    link = through_a_link(path)
    other = path.parent / "other.index"
    HammingIndex.build(CODE, 8, [7]).save(str(other))
    with pytest.raises(InputError, match="Nothing was saved"):
        edit(link, lambda _: link.unlink(), lambda _: link.symlink_to(other))
    assert (ids_of(path), ids_of(other)) == ([0], [7])


def test_an_index_is_built_over_one_that_is_edited(path):
    """The edit ends first, and the new index takes the place of what it saved."""
    built = threading.Event()

    def build():
        with editing.locked(str(path)):
            HammingIndex.build(CODE, 8, [7]).save(str(path))
        built.set()

    with editing.editing(str(path)) as index:
        thread = threading.Thread(target=build, daemon=True)
        thread.start()
        assert not built.wait(0.1)
        index.add(CODE, [1])
    thread.join(10)
    assert ids_of(path) == [7]


def test_an_edit_that_fails_leaves_the_index(path):
    with pytest.raises(InputError, match="ids: 5 given"):
        edit(path, lambda index: index.remove([5]))
    assert ids_of(path) == [0]
    edit(path)
    assert ids_of(path) == [0, 1]
