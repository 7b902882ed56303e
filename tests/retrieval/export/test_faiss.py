"""Codes to and from faiss, whose search is a second reference."""

import gc
import sys

import faiss
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.index.hamming_index import HammingIndex
from tests.support.packed import random_codes


@pytest.mark.slow
@pytest.mark.parametrize("bits", [12, 48])
@pytest.mark.parametrize("start", [0, 1000])
def test_faiss_finds_the_same(bits, start):
    codes, queries = random_codes(200, bits), random_codes(4, bits, 1)
    built = HammingIndex.build(codes, bits, np.arange(start, start + 200))
    made = built.to_faiss()
    gc.collect()  # The ID map must keep the index below it alive.
    assert type(made) is (faiss.IndexBinaryIDMap if start else faiss.IndexBinaryFlat)
    query_bytes = HammingIndex.build(queries, bits).export()
    theirs, their_ids = made.search(query_bytes, 16)
    distances, ids = built.search(queries, 16)
    np.testing.assert_array_equal(distances, theirs)
    # faiss orders equal distances as it likes, and at the last one it picks some.
    for row in range(len(queries)):
        sure = distances[row] < distances[row, -1]
        assert set(ids[row, sure]) == set(their_ids[row, sure])
    for length in (None, bits):
        back = HammingIndex.from_faiss(made, bits=length)
        assert back.bits == (length or -(-bits // 8) * 8)
        np.testing.assert_array_equal(back.ids, built.ids)
        np.testing.assert_array_equal(back.export(), built.export())
        for mine, its in zip(built.search(queries, 16), back.search(queries, 16), strict=True):
            np.testing.assert_array_equal(mine, its)


def test_from_faiss():
    data = np.random.default_rng(0).integers(0, 256, (20, 5), np.uint8)
    flat = faiss.IndexBinaryFlat(40)
    flat.add(data)
    built = HammingIndex.from_faiss(flat, [f"{i}" for i in range(20)])
    assert (built.bits, built.ids[3]) == (40, "3")
    np.testing.assert_array_equal(built.export(), data)
    both = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(40))
    both.add_with_ids(data, np.arange(20)[::-1].copy() * 3)
    read = faiss.deserialize_index_binary(faiss.serialize_index_binary(both))
    for made in (both, read):
        built = HammingIndex.from_faiss(made)
        np.testing.assert_array_equal(built.export(), data)
        assert built.ids.tolist() == list(range(57, -1, -3))
    assert HammingIndex.from_faiss(both, range(20)).ids.tolist() == list(range(20))
    both.add_with_ids(data[:1], np.zeros(1, np.int64))
    with pytest.raises(InputError, match="ids: 0 given more than once; allowed: distinct ids"):
        HammingIndex.from_faiss(both)
    ivf = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(40), 40, 2)
    for other in (ivf, faiss.IndexBinaryIDMap(ivf), faiss.IndexFlatL2(8), "text"):
        with pytest.raises(InputError, match=r"faiss_index: .* given; allowed: IndexBinaryFlat"):
            HammingIndex.from_faiss(other)


@pytest.mark.parametrize("field", ["ntotal", "d", "code_size", "id_map"])
def test_a_faiss_index_that_contradicts_itself(field):
    made = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(40))
    made.add_with_ids(np.zeros((4, 5), np.uint8), np.arange(4))
    flat = faiss.downcast_IndexBinary(made.index)
    if field == "id_map":
        faiss.copy_array_to_vector(np.arange(3), made.id_map)
    else:
        setattr(flat, field, getattr(flat, field) + 1000)
    with pytest.raises(InputError, match=r"faiss_index: .* given; allowed: as many bytes"):
        HammingIndex.from_faiss(made)


def test_faiss_codes_that_are_too_long():
    with pytest.raises(InputError, match="bits: 520 given; allowed: 1 to 512"):
        HammingIndex.from_faiss(faiss.IndexBinaryFlat(520))


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 31, 32, 33, 39, 40])
def test_from_faiss_with_a_code_length(bits):
    data = np.zeros((4, 5), np.uint8)
    data[2, (bits - 1) // 8] = 1 << (bits - 1) % 8  # The last bit of a code.
    flat = faiss.IndexBinaryFlat(40)
    flat.add(data)
    built = HammingIndex.from_faiss(flat, bits=bits)
    assert built.bits == bits
    np.testing.assert_array_equal(built.export(), data[:, : -(-bits // 8)])
    if bits > 1:
        with pytest.raises(InputError, match=f"bits: {bits - 1} given; .* row 2 of the faiss"):
            HammingIndex.from_faiss(flat, bits=bits - 1)
    for wrong in (0, 41, 8.0):
        with pytest.raises(InputError, match=f"bits: {wrong} given; allowed: 1 to 40"):
            HammingIndex.from_faiss(flat, bits=wrong)


def test_to_faiss_after_changes_and_without_integers():
    codes = random_codes(30, 64)
    built = HammingIndex.build(codes, 64)
    built.remove([0, 4])
    built.add(codes[:1])
    made = built.to_faiss()
    np.testing.assert_array_equal(faiss.vector_to_array(made.id_map), built.ids)
    named = HammingIndex.build(codes, 64, [f"{i}" for i in range(30)])
    with pytest.raises(InputError, match=r"ids: strings given; .*faiss has integer ids only"):
        named.to_faiss()
    assert HammingIndex.build(codes[:0], 64).to_faiss().ntotal == 0


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    built = HammingIndex.build(random_codes(3, 8), 8)
    with pytest.raises(InputError, match="pip install faiss-cpu"):
        built.to_faiss()
    with pytest.raises(InputError, match="pip install faiss-cpu"):
        HammingIndex.from_faiss(None)
