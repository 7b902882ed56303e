"""The choice of the first layers of models that were published for large images."""

from jhash.errors import InputError

STEMS = ("auto", "published", "small")


def choose_stem(model: str, stem: str, side: int, published: int, small: int) -> str:
    """Chooses the stem, the first layers, of a model that was published for large images.

    Args:
      model: Name of the model, for messages.
      stem: "published", "small" (a 3x3 convolution at stride 1), or "auto", which is published
        where the images are large enough for it, otherwise small.
      side: Smaller side of the images in pixels.
      published: Smallest side for the published stem.
      small: Smallest side for the small stem.

    Returns:
      "published" or "small".

    Raises:
      InputError: The stem is unknown, or the images are too small for it.
    """
    if stem not in STEMS:
        raise InputError(f"stem: {stem!r} given; allowed: {', '.join(STEMS)}.")
    if stem == "auto":
        stem = "published" if side >= published else "small"
    min_side = published if stem == "published" else small
    if side < min_side:
        raise InputError(
            f"images: a side of {side} pixels given; allowed: {min_side} and more, for {model} "
            f"with the {stem} stem. Resize the images (stem='small' takes sides from {small} on)."
        )
    return stem
