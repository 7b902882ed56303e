"""The file format: read by the document's own snippet, refused wherever it is damaged."""

import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest

import jhash
from jhash.errors import InputError
from jhash.retrieval.index import file_format
from jhash.retrieval.index.hamming_index import HammingIndex

DOCUMENT = pathlib.Path(jhash.__file__).parents[1] / "docs" / "index_format.md"
METADATA = {"run": "runs/a", "größe": [1, 2.5, None]}
# Strings of one to four bytes a character, one empty.
STRINGS = ["a.jpg", "", "größer/ü.png", "画像.jpg", "🙂", "z" * 70, "a"]


def random_codes(n, bits, seed=0):
    rng = np.random.default_rng(seed)
    bytes_ = np.zeros((n, -(-bits // 32) * 4), np.uint8)
    packed = np.packbits(rng.integers(0, 2, (n, bits), np.uint8), axis=1, bitorder="little")
    bytes_[:, : packed.shape[1]] = packed
    return bytes_.view(np.uint32)


def saved(tmp_path, ids, bits=40):
    path = str(tmp_path / "codes.index")
    codes = random_codes(len(ids), bits)
    HammingIndex.build(codes, bits, ids, METADATA).save(path)
    return path, codes


def content(path):
    index = HammingIndex.load(path)
    return index.export().tolist(), index.ids.tolist(), index.bits, index.metadata


@pytest.mark.parametrize("bits", [1, 8, 12, 32, 33, 100, 512])
@pytest.mark.parametrize("ids", [[5, -7, 2**63 - 1, -(2**63), 0, 1, 2], STRINGS])
def test_load_gives_back_what_was_saved(tmp_path, bits, ids):
    path, codes = saved(tmp_path, ids, bits)
    index = HammingIndex.load(path)
    assert (index.bits, len(index), index.metadata) == (bits, 7, METADATA)
    assert index.ids.tolist() == ids
    assert index.ids.dtype.kind == ("U" if ids is STRINGS else "i")
    assert index.id_kind == ("string" if ids is STRINGS else "int64")
    bits_set = np.unpackbits(index.export(), axis=1, bitorder="little")
    expected = np.unpackbits(codes.view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(bits_set[:, :bits], expected[:, :bits])
    assert not bits_set[:, bits:].any()


@pytest.mark.parametrize("ids", [[], np.array([], str)])
def test_an_empty_index_is_kept(tmp_path, ids):
    path = str(tmp_path / "empty")
    HammingIndex.build(np.zeros((0, 2), np.uint32), 64, ids).save(path)
    index = HammingIndex.load(path)
    assert len(index) == 0
    index.add(np.ones((1, 2), np.uint32), ["a"])
    assert index.ids.tolist() == ["a"]


def run_snippets(path):
    """What the code in the document leaves behind."""
    names = {"path": path}
    exec("".join(re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)), names)
    return names


@pytest.mark.parametrize("ids", [[3, 1, 2, 9, 8, 7, 6], STRINGS])
def test_the_documents_snippet_reads_the_file(tmp_path, ids):
    path, codes = saved(tmp_path, ids)
    names = run_snippets(path)
    np.testing.assert_array_equal(names["codes"], codes)
    assert (names["bits"], list(names["ids"]), names["metadata"]) == (40, ids, METADATA)
    np.testing.assert_array_equal(names["packed"], HammingIndex.load(path).export())
    # Bit j is bit j % 32 of word j // 32 and bit j % 8 of byte j // 8.
    for j in range(40):
        word, byte = (
            codes[:, j // 32] >> (j % 32) & 1,
            names["packed"][:, j // 8] >> (j % 8) & 1,
        )
        np.testing.assert_array_equal(word, byte)


def test_the_documents_snippet_reads_an_empty_index(tmp_path):
    path = str(tmp_path / "empty")
    HammingIndex.build(np.zeros((0, 2), np.uint32), 40).save(path)
    names = run_snippets(path)
    assert (names["codes"].shape, names["packed"].shape) == ((0, 2), (0, 5))
    assert (names["bits"], list(names["ids"]), names["metadata"]) == (40, [], {})
    # An index of strings, but none.
    content = file_format.Content(np.zeros((0, 2), np.uint32), 40, np.empty(0, object), {})
    file_format.write(path, content)
    assert run_snippets(path)["ids"] == []


@pytest.mark.parametrize("ids", [[3, 1, 2, 9, 8, 7, 6], STRINGS])
def test_the_documents_snippet_finds_any_damage(tmp_path, ids):
    path, _ = saved(tmp_path, ids)
    read_index = run_snippets(path)["read_index"]
    data = pathlib.Path(path).read_bytes()
    files = [data[:size] for size in range(len(data))] + [data + b"\0", data + data]
    for offset in range(len(data)):
        files.append(data[:offset] + bytes([data[offset] ^ 16]) + data[offset + 1 :])
    damaged = tmp_path / "damaged"
    for content in files:
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match=r"index|damaged|version|end"):
            read_index(str(damaged))


@pytest.mark.parametrize("ids", [np.arange(5000) * 3, [f"{i}.jpg" for i in range(5000)]])
def test_a_file_that_is_cut_off_or_changed_while_it_is_open(tmp_path, ids):
    """The index is a copy: a mapped file would end the process by a bus error."""
    path, codes = saved(tmp_path, ids)
    index = HammingIndex.load(path)
    untouched = HammingIndex.build(codes, 40, ids)
    for change in (b"\xff" * pathlib.Path(path).stat().st_size, b""):
        with open(path, "r+b") as file:
            file.write(change)
            file.truncate(len(change))
        assert index.ids.tolist() == list(ids)
        found, expected = (searched.search(codes[7:9], 9) for searched in (index, untouched))
        np.testing.assert_array_equal(found, expected)
    index.remove(ids[:1])
    index.save(path)
    assert HammingIndex.load(path).ids.tolist() == list(ids[1:])


def test_a_file_that_changes_its_size_while_it_is_read(tmp_path, monkeypatch):
    path, _ = saved(tmp_path, np.arange(5000))
    data = pathlib.Path(path).read_bytes()
    size = file_format._check_size
    for content, message in (
        (data[:-1], "truncated: it was cut"),
        (data + b"x", "extended: it gr"),
    ):

        def change(*arguments, content=content):
            size(*arguments)
            pathlib.Path(path).write_bytes(content)

        pathlib.Path(path).write_bytes(data)
        monkeypatch.setattr(file_format, "_check_size", change)
        with pytest.raises(InputError, match=message):
            HammingIndex.load(path)


def test_a_file_takes_its_own_size_in_memory(tmp_path):
    path, _ = saved(tmp_path, np.arange(50_000) * 3, bits=512)
    size = pathlib.Path(path).stat().st_size
    tracemalloc.start()
    try:
        index = HammingIndex.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * size
    finally:
        tracemalloc.stop()
    assert len(index) == 50_000


def test_a_device_or_a_fifo_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(InputError, match="cannot be read: Not a regular file"):
            HammingIndex.load(str(path))


@pytest.mark.parametrize("ids", [[3, 1, 2, 9, 8, 7, 6], STRINGS])
def test_a_flipped_bit_at_any_offset_is_found(tmp_path, ids):
    path, _ = saved(tmp_path, ids)
    data = pathlib.Path(path).read_bytes()
    for offset in range(len(data)):
        for flip in (1, 128, 255):
            damaged = bytearray(data)
            damaged[offset] ^= flip
            pathlib.Path(path).write_bytes(damaged)
            with pytest.raises(InputError, match=re.escape(path)) as error:
                HammingIndex.load(path)
            assert ("no index of jhash" if offset < 8 else "is damaged") in str(error.value)


@pytest.mark.parametrize("ids", [[3, 1, 2, 9, 8, 7, 6], STRINGS])
def test_any_other_length_is_found(tmp_path, ids):
    path, _ = saved(tmp_path, ids)
    data = pathlib.Path(path).read_bytes()
    for size in range(len(data)):
        pathlib.Path(path).write_bytes(data[:size])
        with pytest.raises(InputError, match=re.escape(path)) as error:
            HammingIndex.load(path)
        assert ("no index of jhash" if size < 8 else "is truncated") in str(error.value)
    for tail in (b"\0", b"x", data):
        pathlib.Path(path).write_bytes(data + tail)
        with pytest.raises(InputError, match=f"extended: it has {len(data + tail)} bytes"):
            HammingIndex.load(path)


def test_regions_of_a_larger_file(tmp_path):
    path, _ = saved(tmp_path, [f"{i}.jpg" for i in range(20_000)], bits=128)
    data = pathlib.Path(path).read_bytes()
    names = ("codes", "ids", "id offsets", "metadata")
    for i, name in enumerate(names):
        offset, size, _ = struct.unpack_from("<QQI", data, 32 + 20 * i)
        assert offset % 64 == 0
        for place in (offset, offset + size // 2, offset + size - 1):
            damaged = bytearray(data)
            damaged[place] ^= 16
            pathlib.Path(path).write_bytes(damaged)
            with pytest.raises(InputError, match=f"its {name} do not match their checksum"):
                HammingIndex.load(path)


def test_foreign_and_missing_files(tmp_path):
    path = tmp_path / "file"
    for text in (b"", b"PK\3\4 something else", b"jhashidx" + bytes(500)):
        path.write_bytes(text)
        with pytest.raises(InputError, match=f"^{re.escape(str(path))}: this is no index of jhash"):
            HammingIndex.load(str(path))
    with pytest.raises(InputError, match="missing: cannot be read: No such file"):
        HammingIndex.load(str(tmp_path / "missing"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        HammingIndex.load(str(tmp_path))
    with pytest.raises(InputError, match="cannot be written"):
        HammingIndex.build(np.zeros((1, 1), np.uint32), 1).save(str(path / "below" / "a file"))


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_another_version_is_told_from_damage(tmp_path, version):
    path, _ = saved(tmp_path, [1, 2])
    data = pathlib.Path(path).read_bytes()
    head = data[:8] + struct.pack("<I", version)
    # A newer version keeps the first 16 bytes and nothing else.
    head += struct.pack("<I", zlib.crc32(head))
    for rest in (data[16:], b"", b"entirely different"):
        pathlib.Path(path).write_bytes(head + rest)
        with pytest.raises(
            InputError, match=f"format version {version}; this jhash reads version 1"
        ):
            HammingIndex.load(path)


def forged(tmp_path, *, edit_header=None, tail=bytes(12), **sections):
    """A file with right checksums whose content is not right."""
    path, _ = saved(tmp_path, sections.pop("of", [3, 1, 2]))
    data = pathlib.Path(path).read_bytes()
    header, body = bytearray(data[:112]), bytearray()
    for i, name in enumerate(("codes", "ids", "offsets", "metadata")):
        offset, size, _ = struct.unpack_from("<QQI", data, 32 + 20 * i)
        section = sections.get(name, data[offset : offset + size])
        body += bytes(-len(body) % 64)
        struct.pack_into(
            "<QQI", header, 32 + 20 * i, 128 + len(body), len(section), zlib.crc32(section)
        )
        body += section
    if edit_header:
        edit_header(header)
    header += tail
    header += struct.pack("<I", zlib.crc32(header))
    pathlib.Path(path).write_bytes(header + body)
    return path


@pytest.mark.parametrize(
    ("forgery", "message"),
    [
        (
            {"codes": np.full((3, 2), 256, "<u4").tobytes()},
            "codes: row 0, with bits set beyond",
        ),
        ({"codes": bytes(20)}, "sections do not fit 3 codes of 40 bits"),
        ({"ids": struct.pack("<3q", 5, 6, 5)}, "ids: 5 given more than once"),
        ({"ids": bytes(23)}, "sections do not fit"),
        ({"offsets": bytes(8)}, "sections do not fit"),
        ({"metadata": b"{"}, "metadata is not JSON"),
        ({"metadata": b"[1]"}, "metadata is not a JSON object"),
        ({"metadata": b"\xff"}, "metadata is not JSON"),
        ({"metadata": b"[" * 100_000}, "metadata is not JSON: it is nested too deeply"),
        ({"metadata": b'{"a": ' * 100_000}, "metadata is not JSON: it is nested too deeply"),
        ({"metadata": b'{"a": ' + b"9" * 5000 + b"}"}, "metadata is not JSON: Exceeds the limit"),
        ({"metadata": b'{"a": NaN}'}, "metadata: a value that JSON cannot hold given"),
        ({"metadata": b'{"a": 1e999}'}, "metadata: a value that JSON cannot hold given"),
        ({"metadata": '{"a": 1}'.encode("utf-16")}, "metadata is not JSON"),
        ({"of": ["a", "b", "cd"], "ids": b"a\xffcd"}, "an id is not UTF-8"),
        ({"of": ["a", "b", "cd"], "ids": b"aacd"}, "ids: 'a' given more than once"),
        ({"of": ["a", "b", "cd"], "ids": b"a\0cd"}, "NUL"),
        ({"of": ["a", "b", "cd"], "offsets": struct.pack("<4q", 0, 2, 1, 4)}, "offsets do not fit"),
        ({"of": ["a", "b", "cd"], "offsets": struct.pack("<4q", 0, 1, 2, 3)}, "offsets do not fit"),
        ({"of": ["a", "b", "cd"], "offsets": struct.pack("<4q", 0, -1, 2, 4)}, "offsets do not"),
        ({"of": ["a", "b", "cd"], "ids": b"\xed\xa0\x80d"}, "an id is not UTF-8|offsets"),
        ({"edit_header": lambda h: struct.pack_into("<I", h, 24, 0)}, "names 0 bits"),
        ({"edit_header": lambda h: struct.pack_into("<I", h, 24, 513)}, "names 513 bits"),
        ({"edit_header": lambda h: struct.pack_into("<I", h, 28, 2)}, "ids of kind 2"),
        ({"tail": b"\0" * 11 + b"\1"}, "bytes of its header that are not in use are not zero"),
        ({"edit_header": lambda h: struct.pack_into("<Q", h, 16, 2**63)}, "sections do not fit"),
        ({"edit_header": lambda h: struct.pack_into("<Q", h, 52, 64)}, "sections do not fit"),
    ],
)
def test_right_checksums_over_wrong_content(tmp_path, forgery, message):
    assert content(forged(tmp_path))[1] == [3, 1, 2]  # The forger's own work is accepted.
    path = forged(tmp_path, **forgery)
    if "of" in forgery:  # Texts are in memory in either case.
        with pytest.raises(InputError, match=message):
            HammingIndex.load(path, mmap=True)
    with pytest.raises(InputError, match=message) as error:
        HammingIndex.load(path)
    assert str(error.value).startswith(f"{path}: the file is damaged")


def test_the_kind_of_ids_costs_nothing(tmp_path):
    """As an array every id would take the room of the longest, 2 GB here."""
    ids = [*map(str, range(1000)), "x" * 500_000]
    path, _ = saved(tmp_path, ids)
    index = HammingIndex.load(path)
    tracemalloc.start()
    try:
        assert index.id_kind == "string"
        assert tracemalloc.get_traced_memory()[1] < 1e5
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_changes_after_load_do_not_reach_the_file(tmp_path, monkeypatch):
    # A size that the tests of the index compile, too.
    monkeypatch.setattr("jhash.retrieval.index.rows._MIN_ROOM", 32)
    path, codes = saved(tmp_path, np.arange(100))
    before = pathlib.Path(path).read_bytes()
    index = HammingIndex.load(path)
    index.search(codes[:2], 16)
    index.remove([0, 99])
    index.add(codes[:5] ^ 1)
    index.search(codes[:2], 16)
    assert pathlib.Path(path).read_bytes() == before
    assert content(path)[1] == list(range(100))


@pytest.mark.parametrize("bits", [40, 64])
@pytest.mark.parametrize("ids", [[5, -7, 2**40, 3, 0, 1, 2], STRINGS])
def test_a_mapped_file_is_the_same_index(tmp_path, ids, bits):
    path, codes = saved(tmp_path, ids, bits)
    before = pathlib.Path(path).read_bytes()
    index = HammingIndex.load(path, mmap=True)
    assert content(path) == (index.export().tolist(), index.ids.tolist(), bits, METADATA)
    near, found = index.search(codes[3:4], 1)
    assert (near.tolist(), found.tolist()) == ([[0]], [[ids[3]]])
    # Changes stay in memory until the index is saved, which may be over its file.
    index.remove(ids[:2])
    new = ["new"] if ids is STRINGS else None
    index.add(codes[:1], new)
    if ids is not STRINGS:
        assert index.ids.tolist() == [*ids[2:], 2**40 + 1]
    assert pathlib.Path(path).read_bytes() == before
    index.save(path)
    assert index.ids.tolist() == HammingIndex.load(path).ids.tolist()
    assert len(HammingIndex.load(path, mmap=True)) == 6


def test_a_mapped_file_takes_no_memory_of_its_own(tmp_path):
    path, codes = saved(tmp_path, np.arange(300_000), 64)
    tracemalloc.start()
    try:
        index = HammingIndex.load(path, mmap=True)
        # A byte for each row, and nothing for codes and ids.
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert index.search(codes[70:71], 1)[1].tolist() == [[70]]


def test_a_mapped_file_is_checked_where_it_is_read(tmp_path):
    path, _ = saved(tmp_path, np.arange(20))
    data = pathlib.Path(path).read_bytes()
    # The header, the metadata and the bits behind those of a code, not the codes themselves.
    for place, message in (
        (20, "header"),
        (len(data) - 3, "metadata"),
        (128 + 5, "bits set beyond"),
    ):
        damaged = bytearray(data)
        damaged[place] ^= 128
        pathlib.Path(path).write_bytes(damaged)
        with pytest.raises(InputError, match=f"^{re.escape(path)}: .*{message}"):
            HammingIndex.load(path, mmap=True)
    for size in (len(data) - 1, len(data) + 1):
        pathlib.Path(path).write_bytes((data + b"x")[:size])
        with pytest.raises(InputError, match=r"truncated|extended"):
            HammingIndex.load(path, mmap=True)


def test_an_empty_index_can_be_mapped(tmp_path):
    path, _ = saved(tmp_path, np.arange(0))
    index = HammingIndex.load(path, mmap=True)
    assert len(index) == 0
    index.add(np.ones((1, 2), np.uint32))
    assert index.ids.tolist() == [0]


def test_saving_over_the_file_that_is_open(tmp_path):
    path, codes = saved(tmp_path, np.arange(3000))
    index = HammingIndex.load(path)
    for _ in range(3):
        index.save(path)
        assert content(path)[0] == index.export().tolist()
    index.remove(np.arange(1000, 1010))
    index.save(path)
    np.testing.assert_array_equal(index.export(), HammingIndex.load(path).export())
    kept = np.delete(np.arange(3000), slice(1000, 1010))
    np.testing.assert_array_equal(HammingIndex.load(path).ids, kept)
    np.testing.assert_array_equal(file_format.read(path).codes, codes[kept])


def test_files_hold_the_living_rows_in_insertion_order(tmp_path):
    path = str(tmp_path / "codes.index")
    codes = random_codes(12, 40)
    index = HammingIndex.build(codes[:8], 40)
    index.remove([0, 3])
    index.add(codes[8:], [50, 0, 3, 40])  # Ids that were removed may come back.
    index.save(path)
    found = file_format.read(path)
    assert found.ids.tolist() == [1, 2, 4, 5, 6, 7, 50, 0, 3, 40]
    np.testing.assert_array_equal(found.codes, codes[[1, 2, 4, 5, 6, 7, 8, 9, 10, 11]])


def test_metadata_that_json_cannot_hold(tmp_path):
    codes = random_codes(2, 8)
    for metadata in ({"a": float("nan")}, {"a": b""}, [1], "text"):
        with pytest.raises(InputError, match=r"metadata: .* given.*; allowed: a dict"):
            HammingIndex.build(codes, 8, metadata=metadata)
    index = HammingIndex.build(codes, 8)
    index.metadata["a"] = object()
    with pytest.raises(InputError, match="metadata: a value that JSON cannot hold given"):
        index.save(str(tmp_path / "index"))
    assert not (tmp_path / "index").exists()


SAVER = """
import sys
import numpy as np
from jhash.retrieval.index import HammingIndex

codes = np.arange(2_000_000, dtype=np.uint32).reshape(-1, 2)
old = HammingIndex.build(codes, 64, metadata={"which": "old"})
new = HammingIndex.build(codes[::-1], 64, metadata={"which": "new"})
old.save(sys.argv[1])
print("ready", flush=True)
while True:
    new.save(sys.argv[1])
    old.save(sys.argv[1])
"""


@pytest.mark.slow
def test_a_kill_leaves_the_old_or_the_new_file(tmp_path):
    paths = [tmp_path / str(i) / "index" for i in range(4)]
    children = [
        subprocess.Popen([sys.executable, "-c", SAVER, path], stdout=subprocess.PIPE, text=True)
        for path in paths
    ]
    try:
        for i, child in enumerate(children):
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.013 * (1 + i))
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()
    codes = np.arange(2_000_000, dtype=np.uint32).reshape(-1, 2)
    for path in paths:
        found = file_format.read(str(path))
        expected = codes if found.metadata["which"] == "old" else codes[::-1]
        np.testing.assert_array_equal(found.codes, expected)
        for leftover in path.parent.iterdir():  # What the kill interrupted hides.
            assert leftover == path or leftover.name.startswith(".")
