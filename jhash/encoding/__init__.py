"""From images to codes, one way for all: a source, image files, one query."""

from jhash.encoding.encoder import FileEncoder, digest, load, save
from jhash.encoding.forward import build_forward
from jhash.encoding.source import SourceEncoder

__all__ = ["FileEncoder", "SourceEncoder", "build_forward", "digest", "load", "save"]
