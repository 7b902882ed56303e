"""From images to codes, by one forward pass: images of a source, image files, or one query.

`compatibility` tells whether one model made two sets of codes, `image_search` searches an index of
images, `reconstruction` measures what an invertible model loses of an image, and `warm_start`
begins a training with another run's model.
"""

from jhash.encoding.encoder import FileEncoder, digest, load, save
from jhash.encoding.forward import build_forward
from jhash.encoding.source import SourceEncoder

__all__ = ["FileEncoder", "SourceEncoder", "build_forward", "digest", "load", "save"]
