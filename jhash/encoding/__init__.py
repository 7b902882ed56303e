"""From images to codes: images of a source, image files, or one query, by one forward pass."""

from jhash.encoding.encoder import FileEncoder, digest, load, save
from jhash.encoding.forward import build_forward
from jhash.encoding.source import SourceEncoder

__all__ = ["FileEncoder", "SourceEncoder", "build_forward", "digest", "load", "save"]
