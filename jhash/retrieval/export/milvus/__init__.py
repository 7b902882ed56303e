"""Codes in a collection of Milvus: written, read back, and searched there.

Only this package needs pymilvus, the extra `milvus`.
"""

from jhash.retrieval.export.milvus.reading import read
from jhash.retrieval.export.milvus.searching import MilvusIndex
from jhash.retrieval.export.milvus.writing import Written, write

__all__ = ["MilvusIndex", "Written", "read", "write"]
