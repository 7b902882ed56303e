"""Changes of bytes that need no knowledge of a format."""

import json
import random
import re
from collections.abc import Sequence

from tests.support.fuzzing.target import Files

# Numbers at the ends of the ranges of integers, and those at which a size in bytes overflows.
INTERESTING = (
    *(0, 1, 2, 3, 7, 8, 31, 32, 33, 64, 127, 128, 255, 256, 512, 513, 1000, 4095, 4096),
    *(2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**28, 2**29, 2**30, 2**31 - 1, 2**31, 2**31 + 1),
    *(2**32 - 1, 2**32, 2**33, 2**40, 2**48, 2**60, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
_TEXTS = (
    *(b"-1", b"0", b"00", b"1e999", b"-1e999", b"NaN", b"Infinity", b"null", b"true", b'""'),
    *(b"[]", b"{}", b"9" * 5000, b"99999999999", b"18446744073709551616", b"9223372036854775807"),
    *(b"4294967296", b"1.5", b'"\\u0000"', b'"\\ud800"', b'"\\u001b[31m\\n"', b"[" * 9, b"0x10"),
)
# Values of every type in place of any other.
_VALUES = (
    *(None, True, False, 0, 1, -1, 8.5, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf")),
    *("", "8", "text", "\x1b[31m\n", "\ud800", "x" * 100_000, "../../etc", "os.system", "a.b.c"),
    *([], [1], [[]], [None] * 1000, {}, {"a": {}}, {"a": [1, "b"]}, [0] * 100_000, "0" * 64),
)
_MAX_SLICE = 4096


def change(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Applies one change, or now and then several.

    Args:
      rng: The random numbers.
      data: The bytes to change.
      others: Other files, of which parts may be taken.
    """
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 8))):
        data = rng.choice(_CHANGES)(rng, data, others)
    return data


def change_folder(rng: random.Random, files: Files) -> Files:
    """Removes, empties, swaps or doubles whole files, or puts a folder in the place of one."""
    files, names = dict(files), sorted(files)
    name, other = rng.choice(names), rng.choice(names)
    match rng.randrange(5):
        case 0:
            del files[name]
        case 1:
            files[name] = b""
        case 2:
            files[name], files[other] = files[other], files[name]
        case 3:
            del files[name]
            files[f"{name}/inside"] = b"A folder is here."
        case 4:
            files[f"{name}.copy"] = files[name]
    return files


def deep(rng: random.Random) -> bytes:
    """Returns JSON that is nested so deeply that a recursive reader fails."""
    depth = rng.choice((500, 990, 5_000, 100_000))
    opening, inside, closing = rng.choice(((b"[", b"", b"]"), (b'{"a":', b"1", b"}")))
    return opening * depth + inside + closing * rng.choice((0, depth))


def change_json(rng: random.Random, data: bytes) -> bytes:
    """Replaces, adds, renames or removes a value anywhere in an object; returns JSON."""
    root = json.loads(data)
    holders = [root]
    for holder in holders:
        values = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in values if isinstance(value, dict | list)]
    for _ in range(rng.choice((1, 1, 2))):
        holder = rng.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys or rng.random() < 0.1:
            keys = ["added\x1b[31m\n"]
            holder = root if isinstance(root, dict) else {}
        key = rng.choice(keys)
        if rng.random() < 0.15 and key in holder and isinstance(holder, dict):
            value = holder.pop(key)
            if rng.random() < 0.5:
                holder[rng.choice(("", "a.b", "__class__", "items", "x" * 9999, "\ud800"))] = value
        else:
            holder[key] = rng.choice(_VALUES)
    return json.dumps(root).encode()


def _flip(rng, data, others):
    data = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(rng, data, others):
    size = rng.choice((1, 2, 4, 8))
    start = _offset(rng, data)
    return data[:start] + _integer(rng, size) + data[start + size :]


def _length_field(rng, data, others):
    """Overwrites a number that may be a count or an offset, because it is small and not zero."""
    size = rng.choice((1, 2, 4, 8))
    order = rng.choice(("little", "big"))
    for _ in range(50):
        start = _offset(rng, data)
        value = int.from_bytes(data[start : start + size], order)
        if 0 < value <= 2 * len(data):
            near = (value - 1, value + 1, 2 * value, -value, len(data), len(data) - start)
            value = rng.choice((*near, *INTERESTING)) % (1 << 8 * size)
            return data[:start] + value.to_bytes(size, order) + data[start + size :]
    return _overwrite(rng, data, others)


def _text_number(rng, data, others):
    """Replaces a number that is written in digits."""
    numbers = [match.span() for match in re.finditer(rb"-?[0-9]+(\.[0-9]+)?", data[:200_000])]
    if not numbers:
        return _length_field(rng, data, others)
    start, end = rng.choice(numbers)
    return data[:start] + rng.choice(_TEXTS) + data[end:]


def _fill(rng, data, others):
    start, end = _slice(rng, data)
    return data[:start] + rng.choice((b"\0", b"\xff", b" ", b"[")) * (end - start) + data[end:]


def _noise(rng, data, others):
    start, end = _slice(rng, data)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def _truncate(rng, data, others):
    # Now and then only the last bytes, or all of the file.
    return data[: rng.choice((rng.randrange(len(data) + 1), max(0, len(data) - 1), 0))]


def _extend(rng, data, others):
    start, end = _slice(rng, data)
    more = rng.choice((b"\0", b"\n", rng.randbytes(9), data[start:end], data, b"\0" * 4096))
    return data + more


def _duplicate(rng, data, others):
    start, end = _slice(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 16)) + data[end:]


def _remove(rng, data, others):
    start, end = _slice(rng, data)
    return data[:start] + data[end:]


def _swap(rng, data, others):
    a, b, c, d = sorted(_offset(rng, data) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _splice(rng, data, others):
    other = rng.choice(others) if others else data
    start, end = _slice(rng, data)
    if rng.random() < 0.5:  # The beginning of one file and the end of the other.
        return data[:start] + other[_offset(rng, other) :]
    there, until = _slice(rng, other)
    return data[:start] + other[there:until] + data[end:]


_CHANGES = (
    *(_flip, _overwrite, _length_field, _text_number, _fill, _noise, _truncate, _extend),
    *(_duplicate, _remove, _swap, _splice),
)


def _integer(rng, size):
    value = rng.choice((*INTERESTING, *(-n for n in INTERESTING))) % (1 << 8 * size)
    return value.to_bytes(size, rng.choice(("little", "big")))


def _offset(rng, data):
    """Returns an offset; half of them are near the beginning or the end, as headers are."""
    near = min(len(data), 256)
    place = rng.random()
    if place < 0.3:
        return rng.randrange(near + 1)
    if place < 0.5:
        return len(data) - rng.randrange(near + 1)
    return rng.randrange(len(data) + 1)


def _slice(rng, data):
    start = _offset(rng, data)
    return start, min(
        len(data), start + rng.choice((1, 2, 4, 8, 16, 100, rng.randrange(_MAX_SLICE)))
    )
