"""The forward pass as a file that runs with JAX alone, without jhash: an artifact of `jax.export`.

It is a function from images, uint8 [B, height, width, channels] of the model's own size, to their
packed codes, uint32 [B, words], and their hash outputs, float32 [B, bits]. It holds the parameters.
"""

import importlib.util
from typing import NamedTuple

import jax
import numpy as np
from jax import export

from jhash import forms, retrieval
from jhash.encoding import FileEncoder
from jhash.errors import InputError
from jhash.system import text

# The platforms for which a forward pass is lowered, if it can be.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class Forward(NamedTuple):
    """A serialized forward pass.

    Attributes:
      content: The content of the file.
      batch: Number of images that it takes at a time; None for any number.
      platforms: The platforms that it runs on, by JAX's names.
    """

    content: bytes
    batch: int | None
    platforms: tuple[str, ...]


def check() -> None:
    """Checks that `jax.export` can write files, before any work.

    Raises:
      InputError: The package flatbuffers, which it needs, is not installed.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError(
            "workdir: no run can be exported without the package flatbuffers; allowed: with it, by "
            "pip install 'jhash[export]'."
        )


def lower(encoder: FileEncoder) -> Forward:
    """Lowers the forward pass of an encoder, and serializes it.

    It is lowered for batches of any size and for all platforms. Where that fails, it is lowered for
    this platform alone, and then for single images.

    Raises:
      InputError: It cannot be lowered at all; the message says why.
    """
    check()
    forward = forms.for_platforms(encoder.pure_forward())

    def encode(images):
        outputs = forward(images)
        return retrieval.pack_codes(outputs), outputs

    here = (jax.default_backend().replace("gpu", "cuda"),)
    for batch in (None, 1):
        size = export.symbolic_shape("batch")[0] if batch is None else batch
        images = jax.ShapeDtypeStruct((size, *encoder.image_shape), np.uint8)
        for platforms in (PLATFORMS, here):
            try:
                exported = export.export(jax.jit(encode), platforms=platforms)(images)
                return Forward(bytes(exported.serialize()), batch, platforms)
            except Exception as error:  # Layers raise anything for a size that is not a number.
                reason = error
    lines = str(reason).strip().splitlines() or [""]
    raise InputError(
        "workdir: a run given whose forward pass JAX cannot export; allowed: models that can be "
        f"traced as a whole ({type(reason).__name__}: {text.shortened(lines[0], 200)})."
    )
