"""Exchange of codes with other programs; one module per program."""

from jhash.retrieval.export import faiss

__all__ = ["faiss"]
