"""A model that was given away, loaded from its folder."""

import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from jhash.encoding import FileEncoder, encoder
from jhash.errors import InputError
from jhash.publishing import layout
from jhash.retrieval import HammingIndex
from jhash.runs import code_files, paths


class Model:
    """A trained model that encodes images, and the codes of its database if it came with them.

    Attributes:
      folder: The folder.
      config: The content of its `config.json`.
      bits: Code length.
      image_shape: (height, width, channels) to which images are brought.
    """

    def __init__(self, folder: str, config: dict[str, Any], file_encoder: FileEncoder):
        """See `load`."""
        self.folder = folder
        self.config = config
        self.bits = file_encoder.bits
        self.image_shape = file_encoder.image_shape
        self.encoder = file_encoder

    def encode(
        self,
        images: np.ndarray | str | bytes | os.PathLike[str] | Sequence[Any],
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Encodes images in memory, or image files.

        An array gets the codes that files of the same pixels get. Images of another size or with
        other channels than the model's are resized and converted.

        Args:
          images: uint8, 0 to 255, [N, H, W], [N, H, W, 1] or [N, H, W, 3]; or the path or content
            of a file, or a list of such.
          batch_size: Number of images at a time; by default that of the run's evaluation.

        Returns:
          The packed codes, uint32 [N, ceil(bits / 32)], as `retrieval.hamming_topk` and
          `HammingIndex` take them; `retrieval.unpack_codes(codes, model.bits)` gives -1 and +1.

        Raises:
          InputError: The images are of another type or shape, or a file cannot be read; the message
            names the first one. (`model.encoder.encode` leaves such files out instead.)
        """
        one = (str, bytes, os.PathLike)
        if isinstance(images, one):
            images = [images]
        if not (isinstance(images, list | tuple) and all(isinstance(item, one) for item in images)):
            return self.encoder.encode_arrays(_as_array(images), batch_size)
        if not images:
            return np.empty((0, -(-self.bits // 32)), np.uint32)
        codes = []
        files = [item if isinstance(item, bytes) else os.fspath(item) for item in images]
        for batch, errors in self.encoder.encode(files, batch_size):
            if unreadable := [error for error in errors if error]:
                raise InputError(
                    f"images: {len(unreadable)} files given that cannot be read; allowed: readable "
                    f"images. {unreadable[0]}"
                )
            codes.append(batch)
        return np.concatenate(codes)

    def index(self) -> HammingIndex:
        """Makes an index of the database codes that came with the model.

        Returns:
          The index; ids are the indices of the images in the data of the run.

        Raises:
          InputError: The model came without codes, their file is damaged, or they are codes of
            another model.
        """
        path = paths.codes(self.folder, "encoded")
        if not os.path.exists(path):
            raise InputError(
                f"folder: {self.folder} given, a model without codes; allowed: one that was "
                "exported with --codes."
            )
        content = code_files.read(path)
        if content.metadata.get("network") != self.encoder.digest:
            raise InputError(f"{path}: codes of another model given; allowed: this model's.")
        made_by = {"run": os.path.abspath(self.folder), "network": self.encoder.digest}
        return HammingIndex.build(content.codes, content.bits, content.ids, made_by)


def load(folder: str | os.PathLike[str], trust_modules: Collection[str] = ()) -> Model:
    """Loads a model from the folder that `export` has written.

    Nothing in the folder runs code. A name in it leads to modules of jhash alone, and to those that
    are trusted.

    Args:
      folder: The folder, which may be somebody else's.
      trust_modules: Modules of the user's own that the model may name; see `imports.opening`.

    Returns:
      The model.

    Raises:
      InputError: The folder is no such folder, a file in it is missing or damaged, or the model
        names a module that is not trusted.
    """
    folder = os.fspath(folder)
    config = layout.read_config(folder)
    path = paths.encoder(folder)
    again = "python -m jhash export RUN --output FOLDER --overwrite"
    missing = "It belongs to the folder of a model; copy the folder as a whole."
    file_encoder = encoder.load_file(encoder.EncoderFile(path, missing, again), trust_modules)
    if file_encoder.digest != config["digest"]:
        raise InputError(
            f"{path}: another model than that of {layout.CONFIG} given; allowed: the two files of "
            "one export."
        )
    return Model(folder, config, file_encoder)


def _as_array(images):
    try:
        return np.asarray(images)
    except ValueError as error:  # Lists of images of several sizes.
        raise InputError(
            f"images: {type(images).__name__} of arrays of several shapes given; allowed: an "
            "array, or a list of paths."
        ) from error
