"""The errors that a user can fix; `launch.py` and `python -m jhash` print them without a traceback.

Messages have one grammar: `NAME: VALUE given; allowed: ...`. NAME is an argument of the function
that raises. Code that reads a config names the field instead, `config.FIELD`; `in_config` turns the
one into the other. The message for a file that is damaged or missing may begin with its path.
"""

import contextlib
import unicodedata
from collections.abc import Iterator, Mapping


class InputError(Exception):
    """Bad input; the message names the argument, what was given and what is allowed.

    It is one line and shows nothing that a terminal would obey, whatever a name in it holds. It is
    no ValueError, since the flags library prints a traceback for one from a config file.
    """

    def __str__(self) -> str:
        """Returns the message; see `printable`."""
        return printable(super().__str__())


class NonFiniteError(ArithmeticError):
    """A metric became NaN or infinite; the message names the step and the metric."""


@contextlib.contextmanager
def in_config(fields: Mapping[str, str] | str) -> Iterator[None]:
    """Makes InputErrors of the block name fields of a config in place of arguments.

    Args:
      fields: The field of each argument that comes from the config, such as
        {"name": "config.model.name"}; or a prefix for all arguments, such as "config.data.".

    Raises:
      InputError: The block raised one. Its message begins with the field; that of an argument
        without a field is left as it is.
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


def printable(text: str) -> str:
    """Escapes the characters that a terminal or a page would obey rather than show.

    These are line ends, escapes that move the cursor or change colors, marks that reverse the
    direction of writing, and the halves of characters by which Python stands for bytes that are no
    text. They are written as in a string of Python, such as `\\n` and `\\x1b`.

    Args:
      text: Any text.

    Returns:
      The text in one line.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) == "Zs"
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
