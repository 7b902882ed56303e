"""Imports by name, for names in configs: modules of jhash, or the user's own."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from typing import Any

from jhash.errors import InputError


def find_module(name: str, packages: str | Sequence[str], field: str) -> Any:
    """Imports a module: one of jhash if there is one of that name, else one on the import path.

    Args:
      name: Dotted name, such as `fdah` or `my_project.my_method`.
      packages: The package or packages of jhash that are searched first, such as `jhash.losses`.
      field: What messages call the name: the caller's argument, or the config's field.

    Returns:
      The imported module.

    Raises:
      InputError: There is no such module. (An ImportError *inside* the module is passed on as it
        is.)
    """
    packages = [packages] if isinstance(packages, str) else packages
    for candidate in (*(f"{package}.{name}" for package in packages), name):
        if _exists(candidate):
            return importlib.import_module(candidate)
    raise InputError(
        f"{field}: module {name!r} given; allowed: {', '.join(_modules(packages))}, or a module of "
        "your own on the import path, which includes the current folder."
    )


def find_attribute(name: str, packages: str | Sequence[str], field: str) -> Any:
    """Imports an attribute of a module.

    Args:
      name: Dotted name `module.attribute`, such as `fdah.loss`.
      packages: As for `find_module`.
      field: As for `find_module`.

    Returns:
      The attribute.

    Raises:
      InputError: There is no such module, or it has no such attribute.
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise InputError(
            f"{field}: {name!r} given; allowed: MODULE.NAME, where MODULE is one of "
            f"{', '.join(_modules(packages))}, or a module of your own."
        )
    module = find_module(module_name, packages, field)
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(
            f"{field}: {name!r} given; allowed: names in module {module.__name__}, which are "
            f"{', '.join(public)}."
        )
    return getattr(module, attribute)


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False  # The name or its parent is missing, not an import of the parent.
        raise
    except ValueError:  # The name is malformed.
        return False


def _modules(packages: str | Sequence[str]) -> list[str]:
    packages = [packages] if isinstance(packages, str) else packages
    paths = [path for name in packages for path in importlib.import_module(name).__path__]
    return sorted(module.name for module in pkgutil.iter_modules(paths))
