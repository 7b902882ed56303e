"""The house: imports run downwards, none in a circle, and packages export what they hold."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import jhash

ROOT = Path(jhash.__file__).parent
# From the bottom up; those of one level do not import each other.
LEVELS = (
    ("errors", "rng"),
    ("system",),
    ("losses", "solvers", "parallel", "retrieval", "data"),
    ("models", "runs"),
    ("pretrained",),
    ("methods",),
    ("optimizers",),
    ("experiment",),
    ("encoding",),
    ("evaluate",),
    ("train",),
    ("report",),
    ("commands",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# Names of modules that their packages do not export: programs and what only a package uses.
PRIVATE = {"jhash.commands", "jhash.report", "jhash.methods"}


def modules():
    """Every module of jhash: {dotted name: path}."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path, at_top_only=False):
    """The modules of jhash that a file imports, as far as they are modules."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_top_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in names if name.split(".")[0] == "jhash" and name != "jhash"}


def room(name):
    return name.split(".")[1] if "." in name else ""


def test_every_room_has_a_level():
    rooms = {room(name) for name in modules()} - {""}
    assert rooms == set(LEVEL)


def test_no_import_runs_upwards():
    wrong = [
        f"{name} imports {other}"
        for name, path in modules().items()
        for other in imported(path)
        if room(name) and room(other) in LEVEL and room(name) != room(other)
        if LEVEL[room(other)] >= LEVEL[room(name)]
    ]
    assert not wrong


def test_no_imports_in_a_circle():
    known = modules()
    edges = {
        # What a module takes out of its own package comes from a module of it.
        name: {other for other in imported(path, at_top_only=True) if other in known} - {name}
        for name, path in known.items()
    }
    packages = {name for name, path in known.items() if path.name == "__init__.py"}
    state = {}

    def visit(name, trail):
        if state.get(name) == "done":
            return
        assert name not in trail, " -> ".join((*trail, name))
        for other in sorted(edges[name]):
            # Importing a module runs its package first: harmless, as long as the package's own
            # imports do not lead back to a name that is not there yet.
            if other in packages and name.startswith(f"{other}."):
                continue
            visit(other, (*trail, name))
        state[name] = "done"

    for name in sorted(known):
        visit(name, ())


@pytest.mark.parametrize(
    "name", ["losses", "solvers", "retrieval", "models.layers", "models.heads", "encoding", "runs"]
)
def test_a_package_exports_what_it_says(name):
    package = importlib.import_module(f"jhash.{name}")
    assert sorted(package.__all__, key=str) == sorted(set(package.__all__))
    for public in package.__all__:
        assert getattr(package, public) is not None


@pytest.mark.parametrize("name", ["losses", "solvers"])
def test_a_package_exports_all_of_its_modules(name):
    package = importlib.import_module(f"jhash.{name}")
    found = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert found == set(package.__all__)


@pytest.mark.parametrize("name", ["retrieval.metrics", "retrieval.search", "models.layers"])
def test_a_package_exports_all_of_its_public_functions(name):
    """Functions with a docstring of arguments, in the modules that `__all__` takes from."""
    package = importlib.import_module(f"jhash.{name}")
    sources = {
        value.__module__
        for value in (getattr(package, public) for public in package.__all__)
        if getattr(value, "__module__", "").startswith(package.__name__)
    }
    assert sources, "nothing is exported"
    for source in sources:
        module = importlib.import_module(source)
        exported = {public for public in package.__all__ if hasattr(module, public)}
        assert exported
