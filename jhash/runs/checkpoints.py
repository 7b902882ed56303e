"""Checkpoints of a training, and everything that knows about orbax.

Orbax writes a checkpoint under a temporary name and renames it when it is complete. So a process
that is killed while it saves leaves the previous checkpoint whole.
"""

import os
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jhash.errors import InputError


class Checkpoints:
    """The checkpoints of a training, numbered by the epochs that are done.

    A checkpoint is a pytree of arrays on the host, so a run can continue on another number of
    devices. Use it in a `with` block, whose end waits for the last save.
    """

    def __init__(self, folder: str, keep: int | None = None):
        """Opens the folder.

        Args:
          folder: Folder of the checkpoints.
          keep: Number of newest checkpoints that are kept, for the one process that trains. It
            makes the folder if need be, and removes half-written checkpoints. None opens the folder
            for reading only, which is allowed while another process trains.
        """
        if keep is None:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(os.path.abspath(folder), options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.close()

    @property
    def newest(self) -> int | None:
        """Number of epochs done at the newest checkpoint; None if there is none."""
        return self._manager.latest_step()

    def restore(self, fresh: Any) -> Any:
        """Restores the newest checkpoint as NumPy arrays; returns `fresh` if there is none.

        Args:
          fresh: The content before the first epoch; it gives structure, shapes and dtypes.

        Raises:
          InputError: The checkpoint has another structure, for example because another version of
            jhash wrote it.
        """
        fresh = jax.tree.map(np.asarray, fresh)
        epoch = self.newest
        if epoch is None:
            return fresh
        try:
            return self._manager.restore(epoch, args=ocp.args.StandardRestore(fresh))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"--workdir: checkpoint {epoch} in {self._manager.directory} given; allowed: "
                f"checkpoints that fit the config: {error}"
            ) from error

    def save(self, epoch: int, tree: Any) -> None:
        """Saves in the background, once the previous save is complete."""
        self._manager.save(epoch, args=ocp.args.StandardSave(jax.tree.map(np.asarray, tree)))
