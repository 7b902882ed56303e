"""Says when a run was trained on images that are unlike those which it is to encode."""

from collections.abc import Sequence

import numpy as np

from jhash.data import decoding
from jhash.encoding.encoder import FileEncoder
from jhash.errors import InputError

# Number of images that are looked at, evenly spaced.
_LOOKED_AT = 50
# A run is said to see too little if the shorter side of its images is below the first number, and
# that of the images is larger by this factor. On photos, ITQ of gray 28 x 28 found 0.56 of what
# belongs together, and of color 96 x 96 0.96. Networks of 224 x 224 are for photos of any size.
_SMALL = 64
_FACTOR = 4


def describe(file_encoder: FileEncoder, name: str, paths: Sequence[str]) -> list[str]:
    """Compares the images that a run was trained on with image files.

    Args:
      file_encoder: The encoder of the run.
      name: Name of the run.
      paths: The files.

    Returns:
      Lines for the user. One says that the run was trained on gray images while most of the files
      have colors, or on images that are much smaller; one that it reads images as they are stored
      while some are to be turned.
    """
    places = np.linspace(0, len(paths) - 1, min(len(paths), _LOOKED_AT)).astype(int)
    sizes = []
    colored = 0
    turned = 0
    for place in places:
        try:
            width, height, has_colors = decoding.look(paths[place], paths[place])
            turned += decoding.is_turned(paths[place], paths[place])
        except InputError:
            continue  # It is reported when it is encoded.
        sizes.append((width, height))
        colored += has_colors
    if not sizes:
        return []
    lines = []
    if turned and not file_encoder.as_shown:
        lines.append(
            f"{name} reads images as they are stored, and {turned} of {len(sizes)} looked at are "
            "stored sideways. A run on a folder of photos turns them, and so does an encoder "
            "without --run."
        )
    rows, columns, channels = file_encoder.image_shape
    width, height = (int(side) for side in np.median(sizes, axis=0))
    in_color = 2 * colored > len(sizes)
    small = min(rows, columns) < _SMALL and min(width, height) >= _FACTOR * min(rows, columns)
    if not (small or (channels == 1 and in_color)):
        return lines
    theirs, these = ("color" if color else "gray" for color in (channels == 3, in_color))
    unlike = (
        f"{name} was trained on {theirs} images of {columns} x {rows}; these are {these}, median "
        f"{width} x {height} (of {len(sizes)} looked at). It may find little; without --run an "
        "encoder is fitted to these images."
    )
    return [unlike, *lines]
