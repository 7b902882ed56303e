"""The files in the folder of a model that was given away, and its `config.json`."""

import os
import re
from typing import Any

from jhash.errors import InputError
from jhash.system import reading, text

CARD = "README.md"
CONFIG = "config.json"
FORWARD = "forward.jax"

_LIBRARY = "jhash"
_FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")


def make_config(**fields: Any) -> dict[str, Any]:
    """Makes the content of `config.json`: what `read_config` checks, and further fields."""
    return {"library_name": _LIBRARY, "format": _FORMAT, **fields}


def read_config(folder: str) -> dict[str, Any]:
    """Reads the `config.json` of a model's folder.

    Args:
      folder: The folder, which may be somebody else's.

    Returns:
      Its content. `digest` is that of the encoder; other fields may hold anything.

    Raises:
      InputError: It is missing, damaged, or not that of a model that jhash has written.
    """
    path = os.path.join(folder, CONFIG)
    allowed = "the folder of a model, as python -m jhash export RUN --output FOLDER writes it"
    try:
        config = reading.read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"folder: {folder} given, without {CONFIG}; allowed: {allowed}."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the file cannot be read: {error}.") from error
    if not isinstance(config, dict) or config.get("library_name") != _LIBRARY:
        raise InputError(
            f"folder: {folder} given, whose {CONFIG} is not that of a model of jhash; allowed: "
            f"{allowed}."
        )
    version = config.get("format")
    if type(version) is not int or version != _FORMAT:
        raise InputError(f"{path}: format: {_shown(version)} given; allowed: {_FORMAT}.")
    digest = config.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InputError(f"{path}: digest: {_shown(digest)} given; allowed: a SHA-256 in hex.")
    return config


def _shown(value):
    return text.shortened(repr(value), 80)
