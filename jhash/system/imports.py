"""Finds what a config names: `module.attribute` of jhash, or of a user's own file."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from typing import Any

from jhash.errors import InputError


def find_module(name: str, packages: str | Sequence[str], field: str) -> Any:
    """Imports `package.name` if it exists, else `name` from the import path.

    Args:
      name: Dotted name, such as `fdah` or `my_project.my_method`.
      packages: The packages of jhash that are searched first, such as `jhash.losses`: one or more.
      field: The config field that held the name, for the error message.

    Returns:
      The imported module.

    Raises:
      InputError: Neither exists. An import error *inside* the module is passed on as it is.
    """
    packages = [packages] if isinstance(packages, str) else packages
    for candidate in (*(f"{package}.{name}" for package in packages), name):
        if _exists(candidate):
            return importlib.import_module(candidate)
    raise InputError(
        f"{field}: no module named {name!r}. jhash has {', '.join(_modules(packages))}; a module "
        "of your own must lie on the import path (the current folder does)."
    )


def find_attribute(name: str, packages: str | Sequence[str], field: str) -> Any:
    """Resolves `module.attribute` as `find_module` does; errors name `field`."""
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise InputError(
            f"{field}: {name!r} names no module; write module.attribute, where module is one of "
            f"{', '.join(_modules(packages))} or a module of your own."
        )
    module = find_module(module_name, packages, field)
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(
            f"{field}: module {module.__name__} has no {attribute!r}; it has {', '.join(public)}."
        )
    return getattr(module, attribute)


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False  # A parent package is missing; not something that a parent imports.
        raise
    except ValueError:  # The name is malformed.
        return False


def _modules(packages: str | Sequence[str]) -> list[str]:
    packages = [packages] if isinstance(packages, str) else packages
    paths = [path for name in packages for path in importlib.import_module(name).__path__]
    return sorted(found.name for found in pkgutil.iter_modules(paths))
