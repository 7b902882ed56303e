"""From images to codes, by one forward pass: images of a source, image files, or one query.

`compatibility` tells whether one model made two sets of codes, `image_search` searches an index of
images, `same_picture` tells crops and copies of a picture from others that look alike,
`reconstruction` measures what an invertible model loses of an image, and `warm_start` begins a
training with another run's model.
"""

# Imported when it is first used: an index is searched by the ids of its images without a model.
from typing import TYPE_CHECKING

from jhash.system import lazy

if TYPE_CHECKING:
    from jhash.encoding.encoder import FileEncoder, digest, load, save
    from jhash.encoding.forward import build_forward
    from jhash.encoding.source import SourceEncoder

__all__ = ["FileEncoder", "SourceEncoder", "build_forward", "digest", "load", "save"]

_HOME = {"SourceEncoder": "source", "build_forward": "forward"}
# All others are of `encoder`.
__getattr__ = lazy.attributes(__name__, {name: _HOME.get(name, "encoder") for name in __all__})
