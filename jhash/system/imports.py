"""Imports by name, for names in configs: modules of jhash, or the user's own.

A config that the user gives may name any module: it is code already. A config in a run or an
encoder may be somebody else's, and a name in it must not choose which code runs. So whatever opens
such a file does it within `opening`.
"""

import contextlib
import contextvars
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from jhash.errors import InputError

_OWN = "jhash."
# The user's modules that names may lead to; None for all. It holds for the current thread.
_trusted: contextvars.ContextVar[tuple[str, ...] | None] = contextvars.ContextVar(
    "trusted", default=None
)

_users: set[str] = set()


def users_modules() -> list[str]:
    """Returns the modules of the user's own to which names have led in this process, sorted."""
    return sorted(_users)


@contextlib.contextmanager
def opening(trust_modules: Collection[str] | None) -> Iterator[None]:
    """Makes names within the block lead to jhash's own modules, and to trusted ones.

    Args:
      trust_modules: Names of modules and packages that are trusted besides those of jhash; None
        trusts every module, as for a run that this very process has trained.

    Raises:
      InputError: `trust_modules` is no collection of names.
    """
    if isinstance(trust_modules, str) or not all(
        isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
        for name in trust_modules or ()
    ):
        raise InputError(
            f"trust_modules: {trust_modules!r} given; allowed: a list of names of modules, such as "
            "['my_net']."
        )
    token = _trusted.set(None if trust_modules is None else tuple(trust_modules))
    try:
        yield
    finally:
        _trusted.reset(token)


def find_module(name: str, packages: str | Sequence[str], field: str) -> Any:
    """Imports a module: one of jhash if there is one of that name, else one on the import path.

    Args:
      name: Dotted name, such as `fdah` or `my_project.my_method`.
      packages: The package or packages of jhash that are searched first, such as `jhash.losses`.
      field: What messages call the name: the caller's argument, or the config's field.

    Returns:
      The imported module.

    Raises:
      InputError: There is no such module, or it is not trusted; see `opening`. (An ImportError
        *inside* the module is passed on as it is.)
    """
    packages = [packages] if isinstance(packages, str) else packages
    for candidate in (f"{package}.{name}" for package in packages):
        if _exists(candidate):
            return importlib.import_module(candidate)
    # The check comes before the search, which imports the packages around a module.
    if not _may_import(name, packages):
        raise InputError(
            f"{field}: module {name!r} given in a file that is opened; allowed: "
            f"{_listed(packages)}a module of your own that you trust by "
            f"--trust-modules={name} (in Python, trust_modules=[{name!r}]), since it would be run."
        )
    if _exists(name):
        _users.add(name)
        return importlib.import_module(name)
    raise InputError(
        f"{field}: module {name!r} given; allowed: {_listed(packages)}a module of your own on the "
        "import path, which includes the current folder."
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
      InputError: There is no such module, it has no such attribute, or one of them is not trusted;
        see `opening`.
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise InputError(
            f"{field}: {name!r} given; allowed: MODULE.NAME, where MODULE is "
            f"{_listed(packages, 'one of ')}a module of your own."
        )
    module = find_module(module_name, packages, field)
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(
            f"{field}: {name!r} given; allowed: names in module {module.__name__}, which are "
            f"{', '.join(public)}."
        )
    value = getattr(module, attribute)
    # A module of jhash also has the names that it imports, such as functions of other libraries.
    origin = str(getattr(value, "__module__", ""))
    if not (origin.startswith(_OWN) or _may_import(module.__name__, ()) or _may_import(origin, ())):
        raise InputError(
            f"{field}: {name!r} given in a file that is opened; allowed: what jhash itself defines."
        )
    return value


def _may_import(name: str, packages: Sequence[str]) -> bool:
    """Tells if a module is in one of the packages, or is one of the user's that are trusted."""
    trusted = _trusted.get()
    if trusted is None:
        return True
    return any(f"{name}.".startswith(f"{place}.") for place in (*packages, *trusted))


def _exists(name: str) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    # A notebook, which is `__main__`, and modules made in memory may have no spec.
    if sys.modules.get(name) is not None:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False  # The name or its parent is missing, not an import of the parent.
        raise


def _listed(packages: str | Sequence[str], before: str = "") -> str:
    """Lists the modules of packages in front of what else an error allows; nothing if none are."""
    return f"{before}{', '.join(_modules(packages))}, or " if packages else ""


def _modules(packages: str | Sequence[str]) -> list[str]:
    packages = [packages] if isinstance(packages, str) else packages
    paths = [path for name in packages for path in importlib.import_module(name).__path__]
    return sorted(module.name for module in pkgutil.iter_modules(paths))
