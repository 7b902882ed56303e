"""Text that somebody else may have written, such as names of files; see `errors.printable`, too."""

import os


def shortened(text: str, length: int = 80) -> str:
    """Cuts text that is longer than `length` characters, and puts dots in the place of the rest."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def decodable(path: str) -> str:
    """Returns a path as text that every program can read: bytes that are no text become `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")
