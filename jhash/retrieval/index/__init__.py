"""Index of packed codes under ids: it is searched, changed, and kept in a file."""

from jhash.retrieval.index.hamming_index import HammingIndex

__all__ = ["HammingIndex"]
