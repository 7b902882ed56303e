"""The errors that a user can mend; `launch.py` prints them without a traceback."""


class InputError(ValueError):
    """Bad input: the message names the field, what was given and what is allowed."""


class NonFiniteError(ArithmeticError):
    """A metric became NaN or infinite; the message names the step and the metric."""
