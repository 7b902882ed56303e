"""The house: imports run downwards, none in a circle, and packages export what they hold."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import jhash

ROOT = Path(jhash.__file__).parent
# From the bottom up; those of one level do not import each other.
LEVELS = (
    ("errors", "rng"),
    ("forms",),
    ("system",),
    ("config_fields",),
    ("parallel",),
    ("losses", "solvers", "retrieval", "data"),
    ("models", "runs"),
    ("pretrained",),
    ("methods",),
    ("optimizers",),
    ("experiment",),
    ("encoding",),
    ("evaluate",),
    ("train",),
    ("beam", "report", "serve"),
    ("publishing",),
    ("sweeps",),
    ("commands",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


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


def test_rooms_are_found_without_an_import_of_their_own():
    code = "import sys, jhash; assert 'jax' not in sys.modules; print(jhash.train.train.__name__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True)
    assert run.stdout == b"train\n", run.stderr
    assert set(jhash._PUBLIC) <= set(LEVEL)
    with pytest.raises(AttributeError, match="module 'jhash' has no attribute 'tran'"):
        _ = jhash.tran


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


# What a package does not export: modules and functions that only rooms of jhash use.
INTERNAL = {
    "losses": {"per_image"},
    "solvers": set(),
    "system": set(),
    "runs": {"events", "kept"},
    "parallel": set(),
    "retrieval": {
        "checks",
        "duplicates",
        "check_bits",
        "check_packed",
        "code_bytes",
        "is_real",
        "is_whole",
        "shown",
    },
    "retrieval.metrics": {"counts"},
    "retrieval.search": {
        "pallas_minima",
        "compiled",
        "instructions",
        "fast",
        "host",
        "hosts",
        "results",
        "selection",
        "tiles",
        "distance_dtype",
    },
    "retrieval.index": {
        *("ball", "batches", "costs", "device", "distinct", "file_format", "ids", "multi_index"),
        *("rows", "searcher", "streamed", "sublinear", "ways"),
    },
    "retrieval.export": set(),
    "models.layers": {"convolutions", "coupling", "mean_and_max", "normalize"},
    "models.heads": set(),
    "encoding": {
        "compatibility",
        "encoder_file",
        "fitted",
        "image_batches",
        "image_search",
        "kept_features",
        "kept_neighbors",
        "mismatch",
        "on_one_device",
        "read",
        "reconstruction",
        "same_picture",
        "updating",
        "warm_start",
        "write",
        "Classes",
        "EncoderFile",
        "load_file",
        "read_file",
    },
}


@pytest.mark.parametrize("name", INTERNAL)
def test_a_package_exports_all_of_its_public_functions(name):
    """As a name of its own, or within a module that it exports."""
    package = importlib.import_module(f"jhash.{name}")
    assert all(hasattr(package, public) for public in package.__all__)
    missing = [
        f"{found.name}.{public}"
        for found in pkgutil.iter_modules(package.__path__)
        if found.name not in {*package.__all__, *INTERNAL[name]}
        for public, value in vars(
            importlib.import_module(f"{package.__name__}.{found.name}")
        ).items()
        if callable(value) and getattr(value, "__module__", "").endswith(f".{found.name}")
        if not public.startswith("_") and public not in {*package.__all__, *INTERNAL[name]}
    ]
    assert not missing


def test_the_names_that_others_program_against():
    from jhash import data, losses, models, retrieval, solvers
    from jhash.models.invertible_net import InvertibleNet
    from jhash.models.resnet30 import ResNet30

    names = {
        retrieval: "pack_codes unpack_codes hamming_distances hamming_topk distance_histograms "
        "average_precision mean_average_precision",
        retrieval.HammingIndex: "build search search_radius add remove save load",
        losses: "pairwise asymmetric quantization graph multi_label",
        losses.pairwise: "likelihood_loss log_distance_loss",
        losses.graph: "first_order_loss",
        models: "build layers",
        models.layers: "shrink_sigmoid",
        solvers.asymmetric: "solve_regression solve_codes",
        solvers.factored_graph: "cosine",
        data: "ArraySource ImageListSource TfdsSource Source Data load",
    }
    for holder, listed in names.items():
        assert [name for name in listed.split() if not hasattr(holder, name)] == []
    assert InvertibleNet.__module__ != ResNet30.__module__
