"""Lets calls of a process fail; Python imports it at its start if this folder is in PYTHONPATH.

JHASH_FAULT is a JSON object: `folder` (only files in it are concerned), `calls` (a list of "open",
"write", "fsync", "rename" and "mkdir"), `at` (the number of the first call that fails, from 0),
`errno`, and `once` (whether later calls work again). `counts` names a file into which the number of
calls of each kind is written when the process ends.

Code in C++ is not reached, such as what writes the arrays of a checkpoint.
"""

import atexit
import builtins
import collections
import io
import json
import os
import threading

_FAULT = json.loads(os.environ["JHASH_FAULT"])
_WRITING = os.O_WRONLY | os.O_RDWR
_lock = threading.Lock()
_counts: collections.Counter = collections.Counter()


def _path(file):
    """Returns the path of a file that is named, or given by its descriptor."""
    if isinstance(file, int):
        try:
            return os.readlink(f"/proc/self/fd/{file}")
        except OSError:
            return ""
    return os.path.abspath(os.fsdecode(file))


def _check(call, file):
    """Counts a call, and raises the error if it is its turn."""
    if not _path(file).startswith(_FAULT["folder"] + os.sep):
        return
    with _lock:
        number = sum(_counts[name] for name in _FAULT["calls"])
        _counts[call] += 1
    if call not in _FAULT["calls"]:
        return
    if number == _FAULT["at"] or (number > _FAULT["at"] and not _FAULT["once"]):
        # A write has no name to tell.
        name = () if isinstance(file, int) else (os.fsdecode(file),)
        raise OSError(_FAULT["errno"], os.strerror(_FAULT["errno"]), *name)


class _File:
    """An open file whose writes may fail."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def __iter__(self):
        return iter(self._file)

    def write(self, content):
        _check("write", self._file.fileno())
        return self._file.write(content)

    def writelines(self, lines):
        for line in lines:
            self.write(line)


def _guard(call, function):
    def guarded(file, *arguments, **options):
        _check(call, file)
        return function(file, *arguments, **options)

    return guarded


def _guard_open(function):
    def guarded(file, mode="r", *arguments, **options):
        if not set("wax+") & set(mode):
            return function(file, mode, *arguments, **options)
        if not isinstance(file, int):
            _check("open", file)
        opened = function(file, mode, *arguments, **options)
        return _File(opened) if _path(file).startswith(_FAULT["folder"] + os.sep) else opened

    return guarded


def _guard_os_open(function):
    def guarded(path, flags, *arguments, **options):
        if flags & _WRITING:
            _check("open", path)
        return function(path, flags, *arguments, **options)

    return guarded


builtins.open = io.open = _guard_open(io.open)
os.open = _guard_os_open(os.open)
for _name, _call in {
    "write": "write",
    "fsync": "fsync",
    "replace": "rename",
    "rename": "rename",
    "mkdir": "mkdir",
}.items():
    setattr(os, _name, _guard(_call, getattr(os, _name)))


@atexit.register
def _save_counts():
    if "counts" in _FAULT:
        with open(_FAULT["counts"], "w") as file:
            json.dump(_counts, file)
