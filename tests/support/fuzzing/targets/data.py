"""Sources of images, and published weights and features: idx, lists, mat, pth, npy."""

import functools
import gzip
import io
import math
import pathlib
import random
import re
import struct
import zlib

import numpy as np
import scipy.io
import torch

from jhash.data import idx, image_list
from jhash.pretrained import cnn_f, torch_file
from jhash.system import npy
from tests.support import hostile
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Target, equal

# --- idx ---------------------------------------------------------------------

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _idx_seeds():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 5, 4), np.uint8), np.arange(6, dtype=np.uint8)
    plain = {_IMAGES: _idx(images), _LABELS: _idx(labels)}
    return [plain, {name: gzip.compress(data, mtime=0) for name, data in plain.items()}]


def _read_idx(folder: pathlib.Path):
    source = idx.idx(folder)
    return {"images": source.images(np.arange(len(source))), "labels": source.labels}


def _idx_oracle(folder: pathlib.Path):
    """Reads both files by the words of MNIST's page."""
    arrays = []
    for name, ndim in ((_IMAGES, 3), (_LABELS, 1)):
        data = (folder / name).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        assert data[:4] == bytes([0, 0, 8, ndim])
        shape = struct.unpack_from(f">{ndim}I", data, 4)
        assert len(data) == 4 + 4 * ndim + math.prod(shape)
        arrays.append(np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape))
    images, labels = arrays
    assert len(images) == len(labels) > 0
    return {"images": images[..., None], "labels": labels.astype(np.int32)}


def _inflate(rng: random.Random, name: str, data: bytes) -> bytes:
    """Changes what is inside of a gzipped file, or puts a bomb in its place."""
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if rng.random() < 0.3:  # A gzipped file may follow another.
        return gzip.compress(plain[: rng.choice((4, 16))], mtime=0) + _zeros(rng.choice((1, 200)))
    return gzip.compress(mutations.change(rng, plain, []), mtime=0)


@functools.cache
def _zeros(mebibytes: int) -> bytes:
    return gzip.compress(bytes(mebibytes * MIB), mtime=0)


# --- lists -------------------------------------------------------------------

_LISTS = ("train.txt", "database.txt", "test.txt")


def _list_seeds():
    images = {f"{i}.png": hostile.encode(hostile.PIXELS, "PNG") for i in range(4)}
    one = {
        "train.txt": b"0.png 1 0\n1.png 0 1\n",
        "database.txt": b"0.png 1 0\n\n2.png 0 1\n",
        "test.txt": b"3.png 0 1",
    }
    marked = {
        name: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").replace(b"0 1", b"1 1")
        for name, text in one.items()
    }
    return [{**images, **one}, {**images, **marked}]


def _read_lists(folder: pathlib.Path):
    source = image_list.ImageListSource(folder, image_size=4)
    assert source.unreadable(np.arange(len(source))) == [None] * len(source)
    return {
        "labels": source.labels.tolist(),
        "parts": {name: part.tolist() for name, part in source.parts.items()},
        "images": source.images(np.arange(len(source))).shape,
    }


def _list_oracle(folder: pathlib.Path):
    """Reads the lists by the words of docs/configs.md, in another way."""
    rows, parts = {}, {}
    texts = [(folder / name).read_bytes().decode("utf-8-sig") for name in _LISTS]
    lines = [[line.strip() for line in text.split("\n") if line.strip()] for text in texts]
    found = _COLUMNS.fullmatch(lines[0][0])
    by_column = found is not None and len(found[3].split()) > 1
    for name, own in zip(_LISTS, lines, strict=True):
        parts[name.removesuffix(".txt")] = part = []
        for line in own:
            if by_column:
                behind_tab, otherwise, labels = _COLUMNS.fullmatch(line).groups()
                path, labels = behind_tab or otherwise, labels.split()
            else:
                path, labels = line.split("\t", 1) if "\t" in line else line.rsplit(" ", 1)
                labels = [label.strip() for label in labels.split(";") if label.strip()]
            assert path.strip()
            assert labels
            path = (folder / path.strip()).resolve()
            assert path.is_file()
            assert rows.setdefault(path, labels) == labels
            part.append(list(rows).index(path))
        assert len(set(part)) == len(part) > 0
    assert not set(parts["test"]) & {*parts["train"], *parts["database"]}
    if by_column:
        assert len({len(labels) for labels in rows.values()}) == 1
        labels = [[int(label) for label in row] for row in rows.values()]
    else:
        words = {line.split()[-1] for own in lines for line in own}
        assert "\t" in lines[0][0] or not words <= {"0", "1"}
        names = {label for row in rows.values() for label in row}
        numbers = all(re.fullmatch("[0-9]{1,18}", label) for label in names)
        names = sorted(names, key=lambda label: (int(label), label) if numbers else label)
        labels = [[int(label in row) for label in names] for row in rows.values()]
    if all(sum(row) == 1 for row in labels):
        labels = [row.index(1) for row in labels]
    return {"labels": labels, "parts": parts, "images": (len(labels), 4, 4, 3)}


# A path and the columns behind a tab, or a path without tabs and all words of 0 and 1 at the end.
_COLUMNS = re.compile(r"(?:([^\t]+)\t|((?!.*\t).+?)\s)\s*((?:[01]\s+)*[01])")


def _change_line(rng: random.Random, name: str, data: bytes) -> bytes:
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] = rng.choice(
        (
            *(b"", b"0.png", b"0.png 1 0 0", b"0.png 2 0", b"./0.png 1 0", b"/dev/zero 1 0"),
            *(
                b"\x00 1 0",
                b"\xff 1 0",
                b"0.png 1 0 " + b"0 " * 99,
                b"x" * 5000 + b" 1 0",
                b". 1 0",
            ),
            *(b"../none 1 0", b"\x1b[2J 1 0", b"0.png\t1\x0b0", b"\xe2\x80\xa8 1 0", b"3.png 0 1"),
            *(b"0.png" + b" 1" * 600_000, b"0.png -1 0", b"0.png 1.0 0", lines[0], lines[-1]),
        )
    )
    return b"\n".join(lines)


# --- weights -----------------------------------------------------------------


def _mat_seeds():
    rng = np.random.default_rng(0)
    layers = np.empty((1, 8), object)
    names = (*cnn_f.LAYERS, "prob")
    for place, name in enumerate(names):
        weights = np.empty((1, 2), object)
        weights[0, 0] = rng.normal(size=(2, 2, 1, 2)).astype(np.float32)
        weights[0, 1] = rng.normal(size=(1, 2))
        layers[0, place] = {"name": name, "weights": weights, "stride": np.array([[1, 2]])}
    content = {"layers": layers, "normalization": {"averageImage": rng.normal(size=(2, 2, 3))}}
    seeds = []
    for variables in (content, {"net": content}, {"layers": layers, "meta": content}):
        for compressed in (True, False):
            file = io.BytesIO()
            scipy.io.savemat(file, variables, do_compression=compressed)
            # The time is in the header's text.
            seeds.append({"w.mat": b"MATLAB 5.0".ljust(116) + file.getvalue()[116:]})
    return seeds


def _read_mat(folder: pathlib.Path):
    path = folder / "w.mat"
    return {"params": cnn_f.load(path), "mean": cnn_f.load_mean(path)}


def _same_layers(value, expected):
    """Any numbers may be right; names, ranks and dtypes are those of the model."""
    return list(value["params"]) == list(expected["params"]) and all(
        (array.dtype, array.ndim) == (np.float32, expected["params"][layer][name].ndim)
        and np.isfinite(array).all()
        for layer, arrays in value["params"].items()
        for name, array in arrays.items()
    )


def _change_elements(rng: random.Random, name: str, data: bytes) -> bytes:
    """Changes what a compressed element holds, or nests, inflates or multiplies it."""
    body = data[128:]
    if body[:4] == struct.pack("<I", 15):
        (size,) = struct.unpack_from("<I", body, 4)
        inner, rest = zlib.decompress(body[8 : 8 + size]), body[8 + size :]
    else:
        inner, rest = body, b""
    match rng.randrange(4):
        case 0:  # Cells in cells.
            head = struct.pack("<8I", 6, 8, 1, 0, 5, 8, 1, 1) + struct.pack("<2I", 1, 0)
            for _ in range(rng.choice((3, 15, 17, 500))):
                inner = struct.pack("<2I", 14, len(head) + len(inner)) + head + inner
        case 1:
            inner += bytes(rng.choice((8, 8, MIB, MIB, 90 * MIB)))
        case _:
            inner = mutations.change(rng, inner, [])
    packed = zlib.compress(inner, 1)
    return data[:128] + struct.pack("<2I", 15, len(packed)) + packed + rest


def _pth_seeds():
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "plain": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 5),
    }
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2))
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    seeds = []
    for content in (state, module.state_dict()):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            seeds.append({"w.pth": file.getvalue()})
    return seeds


def _read_pth(folder: pathlib.Path):
    found = torch_file.load(folder / "w.pth")
    # Every byte that a view reaches is read.
    return {name: array.sum() if array.size < 10**6 else 0 for name, array in found.items()}


_OPCODES = b"(.0125FGIJKLMNPQRSTUVX]abcdeghijlopqrstu})\x80\x81\x82\x83\x85\x86\x87\x88\x89\x8a\x8b"


def _change_opcodes(rng: random.Random, name: str, data: bytes) -> bytes:
    """Puts instructions into the pickle."""
    end = max(data.find(b"PK", 4), 400) if data[:2] == b"PK" else len(data) * 2 // 3
    start = rng.randrange(60, max(61, end))
    pieces = [rng.choice(_OPCODES).to_bytes() for _ in range(rng.choice((1, 2, 9, 300)))]
    pieces += [
        b"cos\nsystem\n",
        b"r\xff\xff\xff\xff",
        b"]" * 999,
        b"\x8b\xff\xff\xff\x7f",
        b"h\0\x86q\0" * 60,
    ]
    chosen = b"".join(rng.sample(pieces, rng.randrange(1, len(pieces))))
    return data[:start] + chosen + data[start + rng.choice((0, len(chosen))) :]


# --- features and landmarks --------------------------------------------------


def _npy_seeds():
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=(6, 3)).astype(np.float32),
        np.asfortranarray(rng.normal(size=(6, 4))),
        rng.integers(0, 9, (6, 2)).astype(">i2"),
        rng.normal(size=(6, 3)).astype(np.float16),
    ]
    seeds = []
    for array in arrays:
        file = io.BytesIO()
        np.save(file, array)
        seeds.append({"a.npy": file.getvalue()})
    return seeds


def _read_npy(folder: pathlib.Path):
    path = folder / "a.npy"
    whole = npy.read(path)
    rows = np.arange(len(whole))[::-2] if whole.ndim else None
    assert equal(npy.read(path, rows), whole if rows is None else whole[rows])
    return whole


def _npy_oracle(folder: pathlib.Path):
    array = np.load(folder / "a.npy", allow_pickle=False, max_header_size=10_000)
    assert array.dtype.kind in "biuf"
    return array.astype(array.dtype.newbyteorder("="))


def _same_array(value, expected):
    """Compares arrays; a header may well call an array of one element the other order."""
    return (value.dtype, value.shape) == (expected.dtype, expected.shape) and (
        value.tobytes() == expected.tobytes()
    )


def _change_header(rng: random.Random, name: str, data: bytes) -> bytes:
    """Writes another header of the right length."""
    size = struct.unpack_from("<H", data, 8)[0]
    header = data[10 : 10 + size].decode("latin1")
    old, new = rng.choice(
        (
            *(("(6, ", "(7, "), ("(6, ", "(5, "), ("(6, ", "(-6, "), ("(6, ", "(1099511627776, ")),
            *(
                (", )", ", 0)"),
                ("False", "True"),
                ("True", "1"),
                ("'<f4'", "'|O'"),
                ("'<f8'", "'<U2'"),
            ),
            *(("'<f4'", "'<M8[s]'"), ("'<f4'", "[('a', '<f4')]"), ("{", "{'x': 1, "), ("}", "")),
            *(("(6, 3)", "(18,)"), ("(6, 3)", "()"), ("(6, 3)", "(2, 3, 3)"), ("(6, ", "(6L, ")),
            *(("(6, ", "(True, "), ("(6, ", "(6.0, "), ("{", "(" * 300), ("(6, ", "(0, ")),
        )
    )
    text = header.replace(old, new).rstrip().encode()
    text = text.ljust(max(size, len(text) + 1) - 1) + b"\n"
    return data[:8] + struct.pack("<H", len(text)) + text + data[10 + size :]


def _long_header(rng: random.Random, name: str, data: bytes) -> bytes:
    """Says that the header is gigabytes long, or makes it long."""
    length = rng.choice((2**32 - 1, 10_001, 9_999))
    return data[:6] + b"\2\0" + struct.pack("<I", length) + rng.choice((b"[", b"-", b" ")) * 10_001


TARGETS = (
    Target(
        "idx",
        _idx_seeds,
        _read_idx,
        oracle=_idx_oracle,
        mutators=(_inflate,),
        whole_files=True,
        multiple=64,
        constant=96 * MIB,
        quick=80,
    ),
    Target(
        "lists",
        _list_seeds,
        _read_lists,
        oracle=_list_oracle,
        mutators=(_change_line,),
        mutable=lambda name: name.endswith(".txt"),
        multiple=64,
        quick=80,
    ),
    Target(
        "mat",
        _mat_seeds,
        _read_mat,
        same=_same_layers,
        mutators=(_change_elements,),
        multiple=64,
        constant=192 * MIB,
        quick=80,
    ),
    Target(
        "pth",
        _pth_seeds,
        _read_pth,
        same=lambda value, expected: isinstance(value, dict),
        mutators=(_change_opcodes,),
        multiple=64,
        constant=16 * MIB,
        quick=150,
    ),
    Target(
        "npy",
        _npy_seeds,
        _read_npy,
        oracle=_npy_oracle,
        same=_same_array,
        mutators=(_change_header, _change_header, _long_header),
        quick=150,
    ),
)
