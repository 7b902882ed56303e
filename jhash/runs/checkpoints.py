"""Everything that knows about orbax: the last good states of a run, whole at any moment.

Orbax writes a checkpoint under a temporary name and renames it when it is complete, so a process
killed while it saves leaves the checkpoint before.
"""

import os

import jax
import numpy as np
import orbax.checkpoint as ocp

from jhash.errors import InputError


class Checkpoints:
    """The checkpoints of a training, one per epoch, of which the last `keep` stay.

    What is saved is a pytree of arrays on the host, so a run can go on with another number of
    devices. To be used in a `with` block, whose end waits for the last save.
    """

    def __init__(self, folder: str, keep: int | None = None):
        """Opens the folder.

        Args:
          folder: Where the checkpoints are.
          keep: How many stay, for the one process that trains: it makes the folder if need be and
            removes half-written checkpoints. None for reading, beside a training process even.
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
        """The epochs done at the newest checkpoint; None if there is none."""
        return self._manager.latest_step()

    def restore(self, fresh):
        """The newest checkpoint, as NumPy arrays; `fresh` if nothing was saved.

        Args:
          fresh: What a run starts with; gives structure, shapes and dtypes.

        Raises:
          InputError: The checkpoint holds something else (another version of jhash wrote it, say).
        """
        fresh = jax.tree.map(np.asarray, fresh)
        epoch = self.newest
        if epoch is None:
            return fresh
        try:
            return self._manager.restore(epoch, args=ocp.args.StandardRestore(fresh))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"--workdir: checkpoint {epoch} in {self._manager.directory} does not fit the "
                f"config: {error}"
            ) from error

    def save(self, epoch: int, tree) -> None:
        """Saves in the background, after the save before is complete."""
        self._manager.save(epoch, args=ocp.args.StandardSave(jax.tree.map(np.asarray, tree)))
