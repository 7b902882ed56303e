"""Checkpoints made to do harm: each ends in one line, in little memory and time."""

import io
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch

from jhash.errors import InputError
from jhash.pretrained import torch_file, torch_pickle
from tests.support import memory

# Pieces of pickles; the instructions are those of the module pickletools.
FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n"


def pickled(*pieces):
    return b"\x80\2" + b"".join(pieces) + b"."


def storage(kind=b"X\7\0\0\0storage", floats=FLOATS, key=b"X\1\0\0\0000"):
    return b"(" + kind + floats + key + b"X\3\0\0\0cpuK\6tQ"


def tensor(where=None, offset=b"K\0", shape=b"K\2K\3", strides=b"K\3K\1"):
    """{"w": tensor}, a view of a storage of six numbers."""
    view = offset + b"(" + shape + b"t(" + strides + b"t\x89" + ORDERED + b")R"
    return b"}X\1\0\0\0w" + REBUILD + b"(" + (where or storage()) + view + b"tRs"


def nested(levels):
    """Pairs of pairs, 2**levels in all: each is (t, t), and t is one object in the memo."""
    return b")q\0" + b"h\0\x86q\0" * levels


def archive(data_pkl, files=None, **options):
    """The form of a file since PyTorch 1.6."""
    content = {"data.pkl": data_pkl, "data/0": np.arange(6, dtype="<f4").tobytes(), **(files or {})}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as written:
        for name, data in content.items():
            written.writestr(f"a/{name}", data)
    return file.getvalue()


def before_1_6(data_pkl, count=6):
    """The form of a file before PyTorch 1.6."""
    header = b"".join(pickle.dumps(value, 2) for value in (torch_file._MAGIC, 1001, {}))
    numbers = struct.pack("<q", count) + np.arange(6, dtype="<f4").tobytes()
    return header + data_pkl + pickle.dumps(["0"], 2) + numbers


def load(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    return torch_file.load(path)


def refusal(tmp_path, content):
    began = time.monotonic()
    limit = memory.at_most(64 * len(content) + (4 << 20))
    with limit, pytest.raises(InputError, match=f"^path: {tmp_path}/w.pth given; all") as caught:
        load(tmp_path, content)
    assert time.monotonic() - began < 20
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize("form", [archive, before_1_6])
def test_the_pieces_make_a_checkpoint(tmp_path, form):
    found = load(tmp_path, form(pickled(tensor())))
    np.testing.assert_array_equal(found["w"], np.arange(6, dtype=np.float32).reshape(2, 3))
    assert found["w"].dtype == np.float32
    assert not found["w"].flags.writeable
    # A key is not hashed, which would take forever here.
    keyed = form(pickled(b"}", nested(60), b"K\1sX\1\0\0\0w", tensor(), b"s"))
    assert load(tmp_path, keyed) == {}


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (b"cos\nsystem\nX\4\0\0\0true\x85R", "it names os.system"),
        (b"\x8c\2os\x8c\6system\x93X\4\0\0\0true\x85R", "it names os.system"),
        (b"(S'true'\nios\nsystem\n", "it has the instruction INST"),
        (b"cos\nsystem\n)\x81", "it has the instruction NEWOBJ"),
        (b"\x82\1", "it has the instruction EXT1"),
        (FLOATS + b")R", "it names torch.FloatStorage"),
        (REBUILD + b"}b", "it sets attributes of a _Name"),
        (REBUILD + b")R", "it is not readable"),
        (REBUILD + b"]R", "it calls torch._utils._rebuild_tensor_v2 without arguments"),
        (b"K\1)R", "it uses a int as a name"),
        # What takes forever if it is hashed, compared or written out.
        (storage(kind=nested(60)), "unknown kind 'tuple'"),
        (storage(key=nested(60)), "it names data by a tuple"),
        (nested(60) + b"h\0\x93", "it is not readable"),
        # What takes gigabytes in Python's own reader.
        (b")r\xff\xff\xff\xff]", "it is not readable (too many values to unpack"),
        (b"\x8b\xff\xff\xff\x7f", "it is not readable"),
        (b"\x8d" + b"\xff" * 7 + b"\x7f", "it is not readable"),
        (b"(" + b"0" * 9, "it has the instruction POP"),
        (b"]" * 9000, "it is not readable (too many values to unpack"),
        (b"a", "its pickle takes more than it has made"),
        (b"(a", "its pickle takes more than it has made"),
        (b"u", "it is not readable"),
        (b"(K\1lK\2K\3s", "it sets items of a list"),
        (b"}K\2a", "it appends to a Pairs"),
        (tensor(offset=b"K\1"), "reaches beyond its data"),
        (tensor(strides=b"K\4K\1"), "reaches beyond its data"),
        (tensor(strides=b"\x8a\x09" + bytes(8) + b"\1K\1"), "reaches beyond its data"),
        (tensor(offset=b"J\xff\xff\xff\xff"), "below 0"),
        (tensor(strides=b"J\xff\xff\xff\xffK\1"), "below 0"),
        (tensor(shape=b"J\xff\xff\xff\xffK\1"), "below 0"),
        (tensor(shape=b"K\2"), "below 0"),
        (tensor(offset=b"G" + bytes(8)), "below 0"),
        (tensor(where=b"N"), "a tensor has no storage"),
        (tensor(shape=b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\3", strides=b"K\0K\1"), "not readable"),
        (tensor(where=storage(floats=b"cbuiltins\neval\n")), "it names builtins.eval"),
        (tensor(where=storage(floats=b"ctorch\n\x1b[2JStorage\n")), r"it names torch.\x1b[2JSto"),
        (tensor(where=storage(key=b"X\1\0\0\0001")), "it is not readable"),
        (
            b"]" + storage() + b"a" + storage(floats=b"ctorch\nLongStorage\n") + b"a",
            "it has two types of data 0",
        ),
    ],
)
@pytest.mark.parametrize("form", [archive, before_1_6])
def test_hostile_pickles(tmp_path, form, pieces, reason):
    assert reason in refusal(tmp_path, form(pickled(pieces)))


@pytest.mark.parametrize(
    "pieces",
    [
        b"]" * 4000,
        # A list of 500 pairs is copied again and again.
        b"(" + b"(K\1K\2t" * 500 + b"lq\0" + (ORDERED + b"h\0\x85R") * 200,
    ],
)
def test_pickles_have_a_limit_of_instructions(tmp_path, monkeypatch, pieces):
    monkeypatch.setattr(torch_pickle, "_MAX_INSTRUCTIONS", 4000)
    assert "more than 4,000 instructions" in refusal(tmp_path, archive(pickled(pieces)))


def test_archives_that_inflate_or_overlap(tmp_path):
    bomb = {"data/0": bytes(32 << 20)}
    content = archive(pickled(tensor()), bomb, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    assert "more than 4 times as many bytes as the file" in refusal(tmp_path, content)
    content = archive(pickled(b" " * (32 << 20)), compression=zipfile.ZIP_DEFLATED)
    assert "more than 4 times as many bytes as the file" in refusal(tmp_path, content)
    # An entry that declares fewer bytes than it inflates to.
    content = archive(pickled(tensor()), bomb, compression=zipfile.ZIP_DEFLATED)
    content = content.replace(struct.pack("<I", 32 << 20), struct.pack("<I", 24))
    assert "it is not readable (Bad CRC-32 for file 'a/data/0')" in refusal(tmp_path, content)
    for compression in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        content = archive(pickled(tensor()), compression=compression)
        assert "compressed in an unusual way" in refusal(tmp_path, content)
    content = archive(pickled(tensor()), {"byteorder": b"big"})
    assert "another byte order" in refusal(tmp_path, content)
    assert "w" in load(tmp_path, archive(pickled(tensor()), {"byteorder": b"little"}))


@pytest.mark.parametrize("count", [-1, 7, 2**40, 2**63 - 1, -(2**63)])
def test_counts_of_elements_are_not_believed(tmp_path, count):
    assert "it is cut off" in refusal(tmp_path, before_1_6(pickled(tensor()), count))


def test_many_tensors_share_the_bytes_of_one(tmp_path):
    """A view takes no memory, however large it is."""
    numbers = torch.zeros(1).expand(10**6, 10**6)
    torch.save({f"w{i}": numbers for i in range(100)}, tmp_path / "w.pth")
    with memory.at_most(1 << 20):
        found = torch_file.load(tmp_path / "w.pth")
    assert found["w99"].shape == (10**6, 10**6)
