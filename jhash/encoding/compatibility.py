"""Codes can be compared only if one network made them: the checks of that."""

import sys

from jhash.encoding import encoder
from jhash.errors import InputError

# What a message calls the codes, their length, and the digest of their network if it is known.
_MadeBy = tuple[str, int, str | None]


def check_same(one: _MadeBy, other: _MadeBy) -> None:
    """Refuses to mix codes of two networks; says on stderr if it cannot be known.

    Args:
      one: (file or folder, code length, digest of the network or None if unknown).
      other: The same of the other.

    Raises:
      InputError: They are of two networks.
    """
    if one[1] != other[1] or (one[2] and other[2] and one[2] != other[2]):
        raise InputError(
            f"another network made the codes of {one[0]} ({one[1]} bits) than those of {other[0]} "
            f"({other[1]} bits); distances between the two mean nothing."
        )
    for name, _, network in (one, other):
        if not network:
            _warn(name)


def check_run(workdir: str, network: str | None) -> None:
    """Checks that a run's encoder is the network that made the codes in its folder.

    Args:
      workdir: The run's folder.
      network: The digest that the codes name; None if they name none.

    Raises:
      InputError: It is not, or the run has no encoder.
    """
    if network is None:
        _warn(workdir)
    elif network != encoder.digest(workdir):
        raise InputError(
            f"{workdir}: another network than the run's encoder.bin made its codes; "
            f"python launch.py --mode=eval --workdir={workdir} writes both again."
        )


def _warn(name):
    print(f"jhash: {name} does not say which network made its codes; not checked.", file=sys.stderr)
