"""The first hook of methods that learn from the labels of single images."""

from jhash.errors import InputError


def check(config, data) -> None:
    """Checks that there are labels, class ids or rows of 0/1.

    Args:
      config: The config.
      data: The data.

    Raises:
      InputError: No training image has a label.
    """
    if data.multi_label and not data.labels(data.train).any():
        raise InputError(
            f"config.data.source: {config.data.source!r} given, of which no training image has a "
            f"label; allowed: data with labels, since {config.method.name} learns from them."
        )


def prepare(config, data, key):
    """Checks that there are labels; there is no state.

    Raises:
      InputError: No training image has a label.
    """
    del key
    check(config, data)
    return data, {}
