"""The errors that a user can mend; `launch.py` prints them without a traceback.

One grammar: `NAME: VALUE given; allowed: ...`. NAME is the function's argument; code that reads a
config gives its field instead, by `in_config`.
"""

import contextlib
from collections.abc import Iterator, Mapping


class InputError(Exception):
    """Bad input: the message names the argument, what was given and what is allowed.

    Not a ValueError: the flags library turns those of a config file into a traceback.
    """


class NonFiniteError(ArithmeticError):
    """A metric became NaN or infinite; the message names the step and the metric."""


@contextlib.contextmanager
def in_config(fields: Mapping[str, str] | str) -> Iterator[None]:
    """Lets InputErrors of the block name fields of a config in place of arguments.

    Args:
      fields: The config's field for each argument that it gives, such as
        {"name": "config.model.name"}; or a prefix, such as "config.data.", for any argument.

    Raises:
      InputError: As the block does; its message begins with the field.
    """
    try:
        yield
    except InputError as error:
        name, colon, rest = str(error).partition(":")
        if isinstance(fields, str):
            field = fields + name if name.isidentifier() else None
        else:
            field = fields.get(name)
        if field is None:
            raise
        raise InputError(f"{field}{colon}{rest}") from error
