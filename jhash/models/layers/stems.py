"""The first convolution of networks that were published for large images."""

from jhash.errors import InputError

STEMS = ("auto", "published", "small")


def choose_stem(network: str, stem: str, side: int, published: int, small: int) -> str:
    """The first convolution of a network that was published for large images.

    Args:
      network: Its name, for messages.
      stem: "published", "small" (3x3 at stride 1), or "auto": published where the image suffices.
      side: The image's smaller side in pixels.
      published: From this side on the published convolution leaves a pixel.
      small: From this side on the small one does.

    Returns:
      "published" or "small".

    Raises:
      InputError: `stem` is none of the three, or the image too small for it.
    """
    if stem not in STEMS:
        raise InputError(f"stem: {stem!r} given; allowed are {', '.join(STEMS)}.")
    if stem == "auto":
        stem = "published" if side >= published else "small"
    least = published if stem == "published" else small
    if side < least:
        raise InputError(
            f"images: a side of {side} pixels given; {network} with the {stem} stem needs at least "
            f"{least}. Resize them (stem='small' takes sides from {small} on)."
        )
    return stem
