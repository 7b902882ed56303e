"""The file of an index: headers and sections that are hostile, with right checksums."""

import itertools
import json
import pathlib
import random
import struct
import zlib

import numpy as np

from jhash.retrieval import HammingIndex
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Target, written

_NAME = "a.index"
_HEADER = 128
# The fields of the header behind magic, version and their checksum: (offset, format).
_FIELDS = (
    *((16, "<Q"), (24, "<I"), (28, "<I")),
    *((32 + 20 * i + offset, form) for i in range(4) for offset, form in ((0, "<Q"), (8, "<Q"))),
    *((32 + 20 * i + 16, "<I") for i in range(4)),
    *((112, "<I"), (116, "<Q")),
)
_QUERY = np.random.default_rng(5).integers(0, 2**32, 16, dtype=np.uint32)


def _seeds():
    """Makes indexes of codes of two words, so that few searches are compiled."""
    rng = np.random.default_rng(0)
    names = ["", "a", "cat.jpg", "Ä", "日本語", "x" * 99, "z/y.png"]
    indexes = [
        HammingIndex.build(_codes(rng, 20, 64), 64),
        HammingIndex.build(_codes(rng, 9, 40), 40, rng.permutation(99)[:9], {"run": "r", "a": [1]}),
        HammingIndex.build(_codes(rng, 7, 33), 33, names, {"network": "0" * 64}),
        HammingIndex.build(np.zeros((0, 2), np.uint32), 50),
        HammingIndex.build(_codes(rng, 300, 33), 33, [f"{i}.png" for i in range(300)]),
    ]
    return [written(lambda folder, i=i: i.save(str(folder / _NAME))) for i in indexes]


def _codes(rng, count, bits):
    on = rng.random((count, -(-bits // 32) * 32)) < 0.5
    on[:, bits:] = False
    return np.packbits(on, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def _read(folder: pathlib.Path):
    index = HammingIndex.load(str(folder / _NAME))
    words = -(-index.bits // 32)
    query = _QUERY[None, :words] & _mask(index.bits)
    k = min(3, len(index))
    distances, ids = index.search(query, k) if k else (np.empty((1, 0), np.int32), np.empty((1, 0)))
    return {
        "codes": index.export(),
        "bits": index.bits,
        "ids": index.ids.tolist(),
        "metadata": index.metadata,
        "distances": distances[0].tolist(),
        "nearest": ids[0].tolist(),
    }


def _mask(bits):
    return np.array([(1 << min(32, bits - at)) - 1 for at in range(0, bits, 32)], np.uint32)


def _oracle(folder: pathlib.Path):
    """Reads a file by the words of docs/index_format.md alone; refuses all that is not so."""
    data = (folder / _NAME).read_bytes()
    assert data[:12] == b"JHASHIDX" + struct.pack("<I", 1)
    assert len(data) >= _HEADER
    for end in (12, 124):
        assert zlib.crc32(data[:end]) == struct.unpack_from("<I", data, end)[0]
    assert not any(data[112:124])
    count, bits, kind = struct.unpack_from("<QII", data, 16)
    assert 1 <= bits <= 512
    assert kind in (0, 1)
    sections, end = [], _HEADER
    for i in range(4):
        offset, size, check = struct.unpack_from("<QQI", data, 32 + 20 * i)
        assert offset == -(-end // 64) * 64
        assert not any(data[end:offset])
        end = offset + size
        assert end <= len(data)
        sections.append(data[offset:end])
        assert zlib.crc32(sections[-1]) == check
    assert end == len(data)
    codes = np.frombuffer(sections[0], "<u4").reshape(count, -(-bits // 32)).astype(np.uint32)
    assert not (codes & ~_mask(bits)).any()
    if kind == 0:
        assert not sections[2]
        ids = np.frombuffer(sections[1], "<i8").tolist()
    else:
        limits = np.frombuffer(sections[2], "<i8").tolist()
        assert limits[0] == 0
        assert limits[-1] == len(sections[1])
        assert limits == sorted(limits)
        ids = [sections[1][a:b].decode() for a, b in itertools.pairwise(limits)]
        assert not any("\0" in text for text in ids)
    assert len(ids) == count == len(set(ids))
    metadata = json.loads(sections[3])
    assert isinstance(metadata, dict)
    # Numbers that JSON does not have, such as NaN, are refused.
    json.dumps(metadata, allow_nan=False)
    distances = np.bitwise_count(codes ^ (_QUERY[: codes.shape[1]] & _mask(bits))).sum(axis=1)
    nearest = np.argsort(distances, kind="stable")[:3]
    return {
        "codes": codes.astype("<u4").view(np.uint8)[:, : -(-bits // 8)],
        "bits": bits,
        "ids": ids,
        "metadata": metadata,
        "distances": distances[nearest].tolist(),
        "nearest": [ids[i] for i in nearest],
    }


def _repair(name: str, data: bytes) -> bytes:
    """Makes all checksums right whose sections lie in the file."""
    if len(data) < _HEADER:
        return data
    header = bytearray(data[:_HEADER])
    for i in range(4):
        offset, size = struct.unpack_from("<QQ", header, 32 + 20 * i)
        if offset + size <= len(data):
            struct.pack_into("<I", header, 48 + 20 * i, zlib.crc32(data[offset : offset + size]))
    for end in (12, 124):
        struct.pack_into("<I", header, end, zlib.crc32(header[:end]))
    return bytes(header) + data[_HEADER:]


def _change_header(rng: random.Random, name: str, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        offset, form = rng.choice(_FIELDS)
        old = struct.unpack_from(form, changed, offset)[0]
        near = (old + 1, old - 1, old + 64, old - 64, -old, 2 * old, len(data))
        value = rng.choice((*near, *mutations.INTERESTING)) % (1 << 8 * struct.calcsize(form))
        struct.pack_into(form, changed, offset, value)
    return _repair(name, bytes(changed))


def _change_section(rng: random.Random, name: str, data: bytes, place=None) -> bytes:
    """Changes what a section holds, and lays the file out again."""
    sections = []
    for i in range(4):
        offset, size = struct.unpack_from("<QQ", data, 32 + 20 * i)
        sections.append(data[offset : offset + size])
    i = rng.randrange(4) if place is None else place
    if i == 3 and rng.random() < 0.9:
        sections[3] = _metadata(rng)
    elif i == 2 and sections[2] and rng.random() < 0.7:
        limits = np.frombuffer(sections[2], "<i8").copy()
        limits[rng.randrange(len(limits))] = rng.choice((-1, 0, 5, -(2**63), 2**63 - 1, 2**40))
        sections[2] = limits.tobytes()
    else:
        sections[i] = mutations.change(rng, sections[i], sections)
    header, body = bytearray(data[:_HEADER]), b""
    for i, section in enumerate(sections):
        body += bytes(-(_HEADER + len(body)) % 64)
        struct.pack_into("<QQ", header, 32 + 20 * i, _HEADER + len(body), len(section))
        body += section
    # Half of the time, the count is what the codes say.
    bits = struct.unpack_from("<I", header, 24)[0]
    if rng.random() < 0.5:
        struct.pack_into("<Q", header, 16, len(sections[0]) // (4 * -(-bits // 32)))
    return _repair(name, bytes(header) + body)


def _change_metadata(rng: random.Random, name: str, data: bytes) -> bytes:
    return _change_section(rng, name, data, place=3)


def _metadata(rng: random.Random) -> bytes:
    many = rng.choice((10, 1000, 100_000))
    return rng.choice(
        (
            *(b"", b"null", b"[]", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"{} {}"),
            *(b'{"a": 1, "a": 2}', b'{"a": ' + b"9" * 5000 + b"}", b'\xef\xbb\xbf{"a": 1}', b"{"),
            *(b'{"a": ' + mutations.deep(rng) + b"}", mutations.deep(rng), '{"ä": 1}'.encode()),
            *(b'{"a": [' + b"[]," * many + b"1]}", b'{"a": [' + b"{}," * many + b"1]}"),
            *('{"a": 1}'.encode("utf-16"), b'{"a": "\xff"}', b'{"\\u0000": 1}', b"[" * many),
        )
    )


TARGETS = (
    Target(
        "index",
        _seeds,
        _read,
        oracle=_oracle,
        mutators=(_change_header, _change_section, _change_metadata),
        repair=_repair,
        quick=200,
        multiple=64,
        constant=4 * MIB,
    ),
)
