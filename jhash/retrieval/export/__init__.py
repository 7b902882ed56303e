"""Codes for other programs, and from them."""

from jhash.retrieval.export import faiss

__all__ = ["faiss"]
