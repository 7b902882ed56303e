"""Codes for other programs, and from them."""

from jhash.retrieval.export import arrays, faiss, milvus

__all__ = ["arrays", "faiss", "milvus"]
