"""Files of codes: NumPy archives as `encode` writes them, and as a run has them in codes/."""

import zipfile
import zlib

import numpy as np

from jhash.errors import InputError

NETWORK = ("run", "network")  # Which run and which of its networks made codes.


def load(path: str) -> tuple[np.ndarray, int, np.ndarray | None, dict[str, str]]:
    """Reads a file of codes.

    Returns:
      (codes, bits, ids, made_by), as `HammingIndex.build` takes them: packed uint32 [N, words];
      the code length; int64 or strings [N], None if the file has none; the fields of `NETWORK`
      that the file has.

    Raises:
      InputError: It cannot be read, or lacks codes or bits.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        bits = int(content.get("bits", 0))
    except OSError as error:
        raise InputError(f"--codes: {path} cannot be read: {error}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"--codes: {path} is no file of codes (.npz), or damaged.") from error
    if missing := [name for name in ("codes", "bits") if name not in content]:
        raise InputError(f"--codes: {path} has no {' and no '.join(missing)} in it.")
    made_by = {name: str(content[name]) for name in NETWORK if name in content}
    return content["codes"], bits, content.get("ids"), made_by
