"""A collection of Milvus as what searches an index: the same distances, found by Milvus."""

from collections.abc import Sequence

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_codes, as_whole
from jhash.retrieval.export.milvus.collection import MAX_RESULTS, Collection
from jhash.retrieval.export.milvus.reading import as_bytes
from jhash.retrieval.packed import Array, code_bytes

# Bounds of a request: queries, and results of all of them.
_QUERIES = 1000
_RESULTS = 1 << 18


class MilvusIndex:
    """The codes of a collection, searched as those of a `HammingIndex`.

    Distances are those of the index that was exported. Results are in the order of (distance,
    position). Which of the codes at the last distance are among them is Milvus's choice.

    Attributes:
      bits: Code length.
      metadata: That of the index.
      path: File of the index that was exported; empty if it is not known.
      id_kind: The kind of the ids, `"int64"` or `"string"`.
    """

    def __init__(self, collection: Collection):
        """Looks at a collection; users call `open`."""
        self._collection = collection
        description = collection.describe()
        collection.check_network(description)
        self.bits = description.bits
        self.metadata = description.metadata
        self.path = description.path
        self.id_kind = description.id_kind
        self._size = collection.count()

    @classmethod
    def open(cls, uri: str, name: str) -> "MilvusIndex":
        """Opens a collection that `write` has made.

        Args:
          uri: Where; see `Collection`.
          name: Name of the collection.

        Raises:
          InputError: Nothing answers there, there is no such collection, or several models made its
            codes.
        """
        return cls(Collection(uri, name))

    def __len__(self) -> int:
        """Returns the number of codes when it was opened."""
        return self._size

    def parse_ids(self, texts: Sequence[str]) -> np.ndarray:
        """Converts texts to ids; see `HammingIndex.parse_ids`."""
        from jhash.retrieval.index import ids

        return ids.parse(texts, self.id_kind)

    def codes(self, ids: Sequence[int] | Sequence[str] | np.ndarray) -> np.ndarray:
        """Returns the codes that have given ids; see `HammingIndex.codes`."""
        from jhash.retrieval.index.ids import some

        wanted = np.asarray(ids).tolist()
        with self._collection.asking():
            rows = self._collection.client.get(
                self._collection.name, ids=wanted, output_fields=["id", "code"]
            )
        code_of = {row["id"]: as_bytes(row["code"]) for row in rows}
        unknown = [identifier for identifier in wanted if identifier not in code_of]
        if unknown:
            raise InputError(f"ids: {some(unknown)} given; allowed: ids that are in the index.")
        size = -(-self.bits // 8)
        codes = np.zeros((len(wanted), -(-self.bits // 32) * 4), np.uint8)
        content = b"".join(code_of[identifier] for identifier in wanted)
        codes[:, :size] = np.frombuffer(content, np.uint8).reshape(-1, size)
        return codes.view("<u4").astype(np.uint32, copy=False)

    def search(self, queries: Array, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k nearest codes of each query.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          k: Number of results per query, 1 to the number of codes, 16,384 at most.

        Returns:
          Distances int32 [Q, k] and ids [Q, k], int64 or str.

        Raises:
          InputError: An argument is wrong, or Milvus does not answer.
        """
        queries = as_codes("queries", queries, self.bits)
        bound = min(self._size, MAX_RESULTS)
        k = as_whole("k", k, 1, bound, "the collection's length, and what Milvus returns at most")
        found = self._ask(queries, k, {})
        shape = len(queries), k
        if any(len(distances) != k for distances, _ in found):
            raise InputError(
                f"k: {k} given; allowed: fewer, because the collection has shrunk meanwhile."
            )
        distances = np.array([near for near, _ in found], np.int32).reshape(shape)
        return distances, self._as_ids([ids for _, ids in found]).reshape(shape)

    def search_radius(
        self, queries: Array, radius: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds all codes within a Hamming radius of each query.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          radius: The largest distance that counts as within, 0 to bits.

        Returns:
          Limits int64 [Q + 1], distances int32 [total] and ids [total]; see
          `HammingIndex.search_radius`.

        Raises:
          InputError: An argument is wrong, Milvus does not answer, or there are more codes within
            the radius than it returns.
        """
        queries = as_codes("queries", queries, self.bits)
        radius = as_whole("radius", radius, 0, self.bits, "the code length")
        # Milvus finds distances below its radius.
        found = self._ask(queries, MAX_RESULTS, {"radius": radius + 1, "range_filter": -1})
        counts = [len(distances) for distances, _ in found]
        if MAX_RESULTS in counts:
            raise InputError(
                f"radius: {radius} given; allowed: one within which a query has fewer than "
                f"{MAX_RESULTS:,} codes, which Milvus returns at most."
            )
        limits = np.append(0, np.cumsum(np.array(counts, np.int64)))
        distances = np.array([near for row, _ in found for near in row], np.int32)
        return limits, distances, self._as_ids([ids for _, ids in found])

    def _ask(self, queries, limit, parameters):
        """Returns (distances, ids) of each query, in the order of (distance, position)."""
        vectors = code_bytes(queries, self.bits)
        size = max(1, min(_QUERIES, _RESULTS // limit))
        found = []
        for start in range(0, len(vectors), size):
            with self._collection.asking():
                answers = self._collection.client.search(
                    self._collection.name,
                    data=[vector.tobytes() for vector in vectors[start : start + size]],
                    anns_field="code",
                    limit=limit,
                    output_fields=["position"],
                    search_params={"metric_type": "HAMMING", "params": parameters},
                    consistency_level="Strong",
                )
            for hits in answers:
                rows = sorted(
                    (int(hit["distance"]), hit["entity"]["position"], hit["id"]) for hit in hits
                )
                found.append(([row[0] for row in rows], [row[2] for row in rows]))
        return found

    def _as_ids(self, ids):
        flat = [identifier for row in ids for identifier in row]
        return np.array(flat, np.int64 if self.id_kind == "int64" else np.str_)
