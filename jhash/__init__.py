"""Deep-hashing image retrieval in JAX/Flax."""

__version__ = "0.1.0"

# What docs/library.md names, found as `jhash.train` without an import of its own.
_PUBLIC = (
    "data",
    "encoding",
    "evaluate",
    "losses",
    "methods",
    "models",
    "pretrained",
    "publishing",
    "report",
    "retrieval",
    "runs",
    "solvers",
    "sweeps",
    "train",
)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not before it is needed: `python -m jhash` runs this file while the current folder, which may
    # hold a hostile importlib.py, is on the import path.
    import importlib

    return importlib.import_module(f"{__name__}.{name}")


def load(folder, trust_modules=()):
    """Loads a model from the folder that `python -m jhash export` has written.

    Args:
      folder: The folder, which may be somebody else's; nothing in it runs code.
      trust_modules: Modules of the user's own that the model may name.

    Returns:
      A `jhash.publishing.Model`: `encode(images)` gives packed codes of arrays and files.

    Raises:
      InputError: The folder is no such folder, or a file in it is missing or damaged.
    """
    from jhash import publishing  # JAX takes seconds, for which `--help` should not wait.

    return publishing.load(folder, trust_modules)
