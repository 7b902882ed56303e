"""An index of codes under ids: searched, changed, and kept in a file."""

from jhash.retrieval.index import editing
from jhash.retrieval.index.hamming_index import HammingIndex

__all__ = ["HammingIndex", "editing"]
