"""All targets; each module of this folder has some in its `TARGETS`."""

import importlib
import pkgutil

from tests.support.fuzzing.target import Target


def load() -> dict[str, Target]:
    """Returns all targets by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    targets = [target for module in modules for target in module.TARGETS]
    by_name = {target.name: target for target in targets}
    assert len(by_name) == len(targets), "two targets have the same name"
    return by_name
