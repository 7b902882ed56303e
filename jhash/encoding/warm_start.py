"""The start of a run from the trained model of another run, `config.init_from`."""

from typing import Any

import jax

from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.experiment import Experiment
from jhash.runs import checkpoints, workdirs
from jhash.system import text

# Max number of characters of what differs.
_SHOWN = 300


def read(experiment: Experiment, variables: dict[str, Any]) -> dict[str, Any]:
    """Reads the parameters and the BatchNorm statistics of the run that a config names.

    They are those that the other run has evaluated, such as its best epoch's. Of the other run's
    file, names are only compared, so nothing of it is imported or built.

    Args:
      experiment: The experiment that starts.
      variables: Its variables as they would be otherwise.

    Returns:
      Variables of the same structure, shapes and dtypes.

    Raises:
      InputError: The folder holds no evaluated run, or one of another model; the message says what
        differs.
    """
    config = experiment.config
    _, content = encoder.read(config.init_from)
    there, here = (
        {name: fields[name] for name in ("bits", "model")}
        for fields in (content["config"], workdirs.plain(config))
    )
    try:
        different = "; ".join(workdirs.differences(there, here))
    except ValueError:  # An array, which no config has.
        different = "config.model has fields of another kind there"
    if not different:
        different = checkpoints.difference(content["variables"], variables)
    # Names with dots may look like those of groups.
    if not different and jax.tree.structure(content["variables"]) != jax.tree.structure(variables):
        different = "its parameters are grouped otherwise"
    if different:
        raise InputError(
            f"config.init_from: {config.init_from} given; allowed: runs of the same model, but "
            f"{text.shortened(different, _SHOWN)}."
        )
    return content["variables"]
