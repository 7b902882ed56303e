"""Texts beside an index with integers as ids: found by id and by text, in any file or none."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.index import id_table

# In the order of their characters, which is not that of UTF-16.
TEXTS = ["", "a", "a/1.png", "a/10.png", "b\n", "é", "日本", "\uffee", "😀"]


@pytest.fixture(params=[1, 4, 1 << 20])
def path(tmp_path, monkeypatch, request):
    monkeypatch.setattr(id_table, "_PIECE", request.param)
    id_table.write(str(tmp_path / "ids"), np.array(TEXTS, object))
    return str(tmp_path / "ids")


def test_texts_are_found_by_id_and_ids_by_text(path):
    table = id_table.IdTable(path)
    assert sorted(TEXTS) == TEXTS
    assert len(table) == len(TEXTS)
    ids = np.array([[8, 0], [3, 3]])
    assert table.texts(ids).tolist() == [["😀", ""], ["a/10.png", "a/10.png"]]
    assert table.texts(np.empty((0, 3), int)).shape == (0, 3)
    assert table.find(TEXTS).tolist() == list(range(len(TEXTS)))
    assert table.find([]).dtype == np.int64
    for text in ("a/2.png", "0", "😁", "\udcff"):
        with pytest.raises(InputError, match=r"^texts: .* given; allowed: texts of the table"):
            table.find(["a", text])
    for ids in ([-1], [9], [0.5], [True]):
        with pytest.raises(InputError, match=r"^ids: .* given; allowed: integers, 0 to 8"):
            table.texts(np.array(ids))


def test_an_empty_table(tmp_path):
    id_table.write(str(tmp_path / "ids"), [])
    table = id_table.IdTable(str(tmp_path / "ids"))
    assert len(table) == 0
    with pytest.raises(InputError, match="'a' given"):
        table.find(["a"])


@pytest.mark.parametrize("texts", [["b", "a"], ["a", "a"]])
def test_texts_that_are_not_ascending_are_refused(tmp_path, monkeypatch, texts):
    monkeypatch.setattr(id_table, "_PIECE", 1)
    with pytest.raises(InputError, match=r"^texts: 'b', 'a' given|^texts: 'a', 'a' given"):
        id_table.write(str(tmp_path / "ids"), texts)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_ends_in_one_line(tmp_path):
    id_table.write(str(tmp_path / "ids"), TEXTS)
    content = (tmp_path / "ids").read_bytes()
    other = tmp_path / "other"
    for cut in (content[:-1], content + b"x", content[:20], b"", b"JHASHIDX" + content[8:]):
        other.write_bytes(cut)
        with pytest.raises(InputError, match=f"^{other}: "):
            id_table.IdTable(str(other))
    messages = []
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0x80
        other.write_bytes(flipped)
        try:  # The texts have no checksum: what is read is another text, or refused.
            table = id_table.IdTable(str(other))
            assert place >= 32
            found = table.texts(np.arange(len(TEXTS))).tolist()
            # A byte belongs to one text, or to the border of two.
            assert sum(one != other for one, other in zip(found, TEXTS, strict=True)) <= 2
        except InputError as error:
            messages.append(str(error))
    assert len(messages) >= 32
    assert all(message.startswith(f"{other}: ") for message in messages)
    with pytest.raises(InputError, match="cannot be read"):
        id_table.IdTable(str(tmp_path / "none"))
