"""Loading of a config from FILE.py:ARGUMENT; an error in the file is named in one line."""

import contextlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags

from jhash import config_fields
from jhash.commands import overrides
from jhash.errors import InputError

# The module in which the file runs.
_NAME = "config_config"


class Parser(flags.ArgumentParser):
    """Parses the value of the flag --config, in place of the parser of `ml_collections`."""

    def __init__(self, words: list[str]):
        """Keeps the words of the command line, in which there may be overrides."""
        self._words = words

    def parse(self, argument: str) -> ml_collections.ConfigDict:
        """Loads the config, and looks for fields that only the command line has."""
        config = load(argument)
        overrides.refuse_unknown(config, self._words)
        return config

    def flag_type(self) -> str:
        """Returns the type, for --help."""
        return "FILE.py or FILE.py:ARGUMENT"


def load(argument: str) -> ml_collections.ConfigDict:
    """Runs a file and calls its `get_config`.

    Args:
      argument: The path of the file, then perhaps a colon and the argument of `get_config`.

    Returns:
      The config; no fields can be added to it.

    Raises:
      InputError: The file cannot be run, or it makes no config. For an error within the file, the
        message gives the line.
    """
    path, colon, text = argument.partition(":")
    if not path:
        raise InputError("--config: none given; allowed: a file, such as --config=configs/fdah.py.")
    config = call(path, "get_config", [text] if colon else [], "--config", "configs/fdah.py")
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(
            f"--config: {path} given, whose get_config returned a {type(config).__name__}; "
            "allowed: an ml_collections.ConfigDict, such as configs.common.base returns."
        )
    if isinstance(config, ml_collections.FrozenConfigDict):
        config = ml_collections.ConfigDict(config.to_dict())
    config_fields.check_values(config)
    config.lock()
    return config


def first_of(path: str, names: Sequence[str]) -> str | None:
    """Returns the first of some names that is a function of a file; a missing file has none.

    Raises:
      InputError: The file cannot be run; see `call`.
    """
    path = _found(path)
    module = _run(path) if os.path.isfile(path) else None
    return next((name for name in names if callable(getattr(module, name, None))), None)


def call(path: str, name: str, arguments: Sequence[str], flag: str, example: str) -> Any:
    """Runs a file and calls one of its functions.

    Args:
      path: The file; one of `configs/` that is not here is that of the installed package.
      name: Name of the function.
      arguments: Arguments of the function.
      flag: What errors call the file, such as `--config`.
      example: A file with such a function, for errors.

    Returns:
      What the function returns.

    Raises:
      InputError: There is no such file or function, or it raises an error; the message gives the
        line of the file.
    """
    path = _found(path)
    if not os.path.exists(path):
        raise InputError(f"{flag}: {path} given; allowed: a file, and there is none of that name.")
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no regular file"
        raise InputError(f"{flag}: {path} given, which is {kind}; allowed: a Python file.")
    function = getattr(_run(path), name, None)
    if not callable(function):
        raise InputError(
            f"{flag}: {path} given, which has no function {name}; allowed: a Python file with one, "
            f"such as {example}."
        )
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        given = ":".join([path, *arguments])
        raise InputError(
            f"{flag}: {given} given; allowed: what the file's {name} takes ({error})."
        ) from error
    except ValueError:  # A function without a signature, such as one of C.
        pass
    with _errors_located(path):
        return function(*arguments)


def _found(path):
    """Returns where a file is: here, or among the configs that are installed with jhash."""
    package, slash, rest = path.partition("/")
    if not os.path.exists(path) and package == "configs" and slash:
        spec = importlib.util.find_spec("configs")
        for folder in spec.submodule_search_locations or () if spec else ():
            if os.path.exists(os.path.join(folder, rest)):
                return os.path.join(folder, rest)
    return path


def _run(path):
    """Runs a file as a module."""
    loader = importlib.machinery.SourceFileLoader(_NAME, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(_NAME, loader))
    sys.modules[_NAME] = module  # As for an import: dataclasses of the file look it up.
    with _errors_located(path):
        loader.exec_module(module)
    return module


@contextlib.contextmanager
def _errors_located(path):
    """Makes any exception of the block an InputError that gives the line of the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        frames = [
            (frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)
        ]
        hint = ""
        if isinstance(error, SyntaxError) and error.filename:
            frames.append((error.filename, error.lineno))
            hint = "; allowed: Python code"
        lines = [line for name, line in frames if name == path]
        where = f"{path}, line {lines[-1]}" if lines else path
        if lines and frames[-1][0] != path:
            where += f" (raised in {frames[-1][0]}, line {frames[-1][1]})"
        reason = " ".join(traceback.format_exception_only(error)[-1].split())
        raise InputError(f"{where}: {reason}{hint}.") from error
