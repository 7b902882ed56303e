"""Checks that codes were made by the same model; others cannot be compared."""

import sys

from jhash.encoding import encoder
from jhash.errors import InputError, printable

# The file or folder of codes, the code length, and the digest of their model if it is known.
_MadeBy = tuple[str, int, str | None]


def check_same(one: _MadeBy, other: _MadeBy) -> None:
    """Checks that the same model made two sets of codes; warns on stderr if that is unknown.

    Args:
      one: The first set: its file or folder, its code length, and the digest of its model, or None
        if that is unknown.
      other: The second set, likewise.

    Raises:
      InputError: Two models made them.
    """
    if one[1] != other[1] or (one[2] and other[2] and one[2] != other[2]):
        raise InputError(
            f"{one[0]}: codes of {one[1]} bits given with {other[0]}, codes of {other[1]} bits by "
            "another model; allowed: codes of one model, as distances between others mean nothing."
        )
    for name, _, digest in (one, other):
        if not digest:
            _warn(name)


def check_run(workdir: str, network: str | None) -> None:
    """Checks that the encoder of a run is the model that made the codes in its folder.

    Args:
      workdir: Folder of the run.
      network: The digest of a model that the codes name, or None if they name none.

    Raises:
      InputError: The encoder is another model, or the run has no encoder.
    """
    if network is None:
        _warn(workdir)
    elif network != encoder.digest(workdir):
        raise InputError(
            f"{workdir}: codes of another model than encoder.bin given; allowed: codes of that "
            f"model. python launch.py --mode=eval --workdir={workdir} writes both again."
        )


def _warn(name):
    line = f"jhash: {name} does not say which model made its codes; not checked."
    print(printable(line), file=sys.stderr)
