"""The index that is served, with its encoder and folders, kept up to date with its file.

Commands that change an index write a new file and rename it. So the file is whole at any moment,
and another file is seen by its identity: device, inode, size and time. It is loaded beside the old
one, which goes on answering until the new one is ready.
"""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from jhash.encoding import image_search
from jhash.errors import InputError, printable
from jhash.retrieval import HammingIndex
from jhash.serve import folders
from jhash.serve.folders import Folders


class Served(NamedTuple):
    """One state of what is served; it never changes.

    Attributes:
      index: A `HammingIndex`, or what has its `bits`, `search`, `codes`, `parse_ids` and length.
      encoder: A `FileEncoder`, or what has its `decode`, `encode_arrays` and `image_shape`.
      folders: Where the images are.
    """

    index: Any
    encoder: Any
    folders: Folders

    def find(self, text: str) -> tuple[Any, np.ndarray]:
        """Finds an image of the index.

        Args:
          text: Its id, as somebody typed it.

        Returns:
          (id, code): the id as the index has it, and the packed code, uint32 [words].

        Raises:
          InputError: It is not in the index.
        """
        # NumPy's strings lose NUL characters at the end.
        if "\0" in text:
            raise InputError("id: a text with NUL characters given; allowed: ids of the index.")
        [identifier] = self.index.parse_ids([text]).tolist()
        return identifier, self.index.codes([identifier])[0]


class Source(NamedTuple):
    """What the command names: see `commands.serve`.

    With `opened`, what searches a collection elsewhere, no file is loaded, nor looked at again.
    """

    path: str
    images: Sequence[str] = ()
    workdir: str | None = None
    trust_modules: Collection[str] = ()
    stream: bool = False
    opened: Any = None


class Watched:
    """The state of an index's file, loaded again when the file is another one.

    Attributes:
      name: Name of the index on pages.
      served: The present state.
      is_stale: Whether the file cannot be loaded, so that an older state is served.
      loads: Number of states so far.
    """

    def __init__(self, source: Source, prepare: Callable[[Served], None] = lambda served: None):
        """Loads the index.

        Args:
          source: The index, and how to load it.
          prepare: Called with each state before it is served.

        Raises:
          InputError: It cannot be loaded.
        """
        self._source = source
        self._prepare = prepare
        self.name = os.path.basename(os.path.abspath(source.path))
        self.is_stale = False
        self.loads = 1
        self._identity = self._identify()
        self.served = self._load(None)

    def look(self) -> bool:
        """Loads the index again if its file is another one; it may be called from any one thread.

        If that fails, the old state stays, stderr says why, and the next look tries again: the file
        of an encoder may be replaced a moment later than that of its index.

        Returns:
          Whether there is a new state.
        """
        identity = self._identify()
        if identity == self._identity and not self.is_stale:
            return False
        try:
            self.served = self._load(self.served)
        except Exception as error:  # Whatever it is, the old state goes on.
            if not self.is_stale or identity != self._identity:
                reason = str(error) or type(error).__name__
                line = f"jhash: {reason} The index of before is served."
                print(printable(line), file=sys.stderr, flush=True)
            self.is_stale = True
            self._identity = identity
            return False
        self.is_stale = False
        self.loads += 1
        self._identity = identity
        return True

    def _identify(self):
        return None if self._source.opened is not None else _identity(self._source.path)

    def _load(self, before: Served | None) -> Served:
        path, images, workdir, trust_modules, stream, opened = self._source
        index = HammingIndex.load(path, stream=stream) if opened is None else opened
        if before is not None and _same_model(index, before.index):
            encoder = before.encoder  # It is compiled already.
        else:
            encoder = image_search.load_encoder(index, path, workdir, trust_modules)
        served = Served(index, encoder, folders.of_index(path, index.metadata, images))
        self._prepare(served)
        return served


def _same_model(one: HammingIndex, other: HammingIndex) -> bool:
    """Tells if the same model is known to have made the codes of two indexes."""
    network = one.metadata.get("network")
    return (
        isinstance(network, str)
        and network == other.metadata.get("network")
        and one.bits == other.bits
    )


def _identity(path: str) -> tuple[int, ...] | None:
    """Returns what tells a file from the one that takes its place; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
