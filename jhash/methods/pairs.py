"""The first hook of methods that learn from which images of a batch are similar."""

from jhash.errors import InputError
from jhash.methods import labels


def prepare(config, data, key):
    """Checks that there are pairs and labels; there is no state.

    Labels may be class ids or rows of 0/1.

    Raises:
      InputError: A batch has a single image, or no training image has a label.
    """
    if config.batch_size < 2:
        raise InputError(
            f"config.batch_size: {config.batch_size} given; allowed: 2 or more, since the loss is "
            "over the pairs of a batch."
        )
    return labels.prepare(config, data, key)
