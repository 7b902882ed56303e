"""Files of codes (.npz): lying zip archives, bombs, headers of arrays, and other types."""

import io
import pathlib
import random
import struct
import zipfile
import zlib

import numpy as np

from jhash.retrieval import HammingIndex
from jhash.runs import code_files
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Target

_NAME = "codes.npz"
_HEADERS = (
    "{'descr': '<u4', 'fortran_order': False, 'shape': (1099511627776, 2), }",
    "{'descr': '<u4', 'fortran_order': False, 'shape': (0, 18446744073709551616), }",
    "{'descr': '<u4', 'fortran_order': False, 'shape': (-1, 2), }",
    "{'descr': '<u4', 'fortran_order': False, 'shape': (6L, 2L), }",
    "{'descr': '<u4', 'fortran_order': True, 'shape': (6, 2), }",
    "{'descr': '>u4', 'fortran_order': False, 'shape': (6, 2), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (6,), }",
    "{'descr': '<U99999999999', 'fortran_order': False, 'shape': (6,), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (6,), }",
    "{'descr': [('a', '<u4'), ('b', '<u4')], 'fortran_order': False, 'shape': (6,), }",
    "{'descr': '<u4', 'fortran_order': False, 'shape': (" + "1, " * 99 + "), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }",
    "{'descr': '|b1', 'fortran_order': False, 'shape': (48,), }",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (6,), }",
    "{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (6,), }",
    "(" * 9000,
    "-" * 9000 + "1",
    "{}",
)
_ARRAYS = (
    *(np.array(8.5), np.array(True), np.array("64"), np.array(64), np.array([64]), np.array(0)),
    *(np.array(np.nan), np.array(64.0), np.array(-1), np.array(2**63, np.uint64), np.array(513)),
    *(np.arange(6) * 1.0, np.array(list("abcdef")), np.zeros(6, bool), np.zeros((6, 2), int)),
    *(np.array([], int), np.zeros((0, 2), np.uint32), np.zeros((6, 2), np.uint64), np.array(5j)),
    *(
        np.array([b"a"] * 6),
        np.array("x" * 100_000),
        np.array(["\ud800"] * 6),
        np.array("\x1b[31m"),
    ),
    *(np.full((6, 2), 2**32 - 1, np.uint32), np.arange(6)[::-1], np.arange(6).astype(">i8")),
    *(
        np.array(["a\0b"] * 6),
        np.array(["a"] * 6),
        np.full((6, 2), -1),
        np.float16(64),
        np.int8(40),
    ),
    *(np.array([None] * 6, object), np.array([{}] * 6, object), np.array(None, object)),
)


def _seeds():
    codes = np.random.default_rng(0).integers(0, 2**8, (6, 2), dtype=np.uint32)
    texts = np.array(["a.png", "b", "ü", "日本", "", "x" * 30])
    made_by = {"run": "runs/a", "network": "0" * 64}
    arrays = (
        {"codes": codes, "bits": 40},
        {
            "codes": codes,
            "bits": 64,
            "ids": np.arange(6) * 3,
            "labels": np.arange(6) % 2,
            **made_by,
        },
        {"codes": codes, "bits": 40, "ids": texts, **made_by},
        {"codes": codes[:0], "bits": 40, "ids": np.arange(0)},
        {"codes": codes, "bits": 40, "ids": np.arange(6), "labels": np.eye(6, dtype=np.uint8)},
    )
    seeds = []
    for place, content in enumerate(arrays):
        file = io.BytesIO()
        (np.savez_compressed if place == 4 else np.savez)(file, **content)
        seeds.append({_NAME: file.getvalue()})
    return seeds


def _read(folder: pathlib.Path):
    content = code_files.read(str(folder / _NAME))
    index = HammingIndex.build(content.codes, content.bits, content.ids, content.metadata)
    labels = None if content.labels is None else content.labels.tolist()
    return index.export(), content.bits, index.ids.tolist(), index.metadata, labels


def _oracle(folder: pathlib.Path):
    """Reads by numpy.load and by the words of the docstring of `code_files.Content`."""
    with np.load(folder / _NAME, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files if name in code_files.Content._fields}
        metadata = {name: str(file[name]) for name in ("run", "network") if name in file.files}
    codes, bits = content["codes"], content["bits"]
    assert (codes.dtype.kind, codes.dtype.itemsize, bits.dtype.kind in "iu") == ("u", 4, True)
    bits = int(bits)
    assert codes.shape[1] == -(-bits // 32)
    unpacked = np.unpackbits(
        np.ascontiguousarray(codes, "<u4").view(np.uint8), axis=1, bitorder="little"
    )
    assert not unpacked[:, bits:].any()
    ids = content["ids"].tolist() if "ids" in content else list(range(len(codes)))
    assert len(ids) == len(set(ids)) == len(codes)
    assert not any(isinstance(value, float | bool | bytes) for value in ids)
    labels = content["labels"].tolist() if "labels" in content else None
    packed = np.packbits(unpacked[:, :bits], axis=1, bitorder="little")
    return packed, bits, ids, metadata, labels


def _members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def _change_member(rng: random.Random, name: str, data: bytes) -> bytes:
    """Changes the bytes, the header or all of an array, in an archive that is whole."""
    members = _members(data)
    member = rng.choice(sorted(members))
    match rng.randrange(4):
        case 0:
            members[member] = mutations.change(rng, members[member], list(members.values()))
        case 1:
            header = rng.choice(_HEADERS).encode()
            length = struct.pack("<H", rng.choice((len(header), len(header), 65535, 0)))
            members[member] = b"\x93NUMPY\1\0" + length + header + members[member][128:]
        case 2:
            members[member] = _npy(rng.choice(_ARRAYS))
        case 3:
            del members[member]
            members[rng.choice(("ids.npy", "labels.npy", "bits.npy", "../x"))] = _npy(
                rng.choice(_ARRAYS)
            )
    pairs = list(members.items())
    if rng.random() < 0.1:
        pairs.append(rng.choice(pairs))  # Two of the same name.
    compressions = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return _archive(pairs, rng.choice((compressions[0], *compressions)))


def _npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def _bomb(rng: random.Random, name: str, data: bytes) -> bytes:
    """Adds zeros that inflate to far more than the file has, and may lie about their size."""
    size = rng.choice((70, 200, 1024)) * MIB
    header = io.BytesIO()
    shape = (size // 8, 2)
    fields = {"descr": "<u4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    wanted = rng.choice(("codes.npy", "ids.npy", "other.npy"))
    members = [pair for pair in _members(data).items() if pair[0] != wanted]
    archive = bytearray(_archive([*members, (wanted, header.getvalue())], zipfile.ZIP_DEFLATED))
    # The stream of the last member is replaced by hand, since making it would take seconds.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(header.getvalue() + bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = block + zeros * (size // MIB - 1) + packer.flush()
    entries = zipfile.ZipFile(io.BytesIO(bytes(archive))).infolist()
    last = entries[-1]
    start = last.header_offset + 30 + len(last.filename)
    directory = archive.rindex(b"PK\1\2")
    first_directory = archive.index(b"PK\1\2")
    claimed = rng.choice((size + len(header.getvalue()), 1000, MIB, 2**32 - 2))
    struct.pack_into("<II", archive, last.header_offset + 18, len(stream), claimed)
    struct.pack_into("<II", archive, directory + 20, len(stream), claimed)
    end = archive.rindex(b"PK\5\6")
    struct.pack_into("<I", archive, end + 16, start + len(stream))
    return bytes(archive[:start]) + stream + bytes(archive[first_directory:])


TARGETS = (
    Target(
        "codes",
        _seeds,
        _read,
        oracle=_oracle,
        mutators=(_change_member, _change_member, _bomb),
        multiple=64,
        constant=80 * MIB,
    ),
)
