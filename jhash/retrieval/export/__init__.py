"""Codes for other programs, and from them."""

from jhash.retrieval.export import arrays, faiss

__all__ = ["arrays", "faiss"]
