"""The errors that a user can mend; `launch.py` prints them without a traceback."""


class InputError(Exception):
    """Bad input: the message names the field, what was given and what is allowed.

    Not a ValueError: the flags library turns those of a config file into a traceback.
    """


class NonFiniteError(ArithmeticError):
    """A metric became NaN or infinite; the message names the step and the metric."""
