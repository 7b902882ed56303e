"""Deep-hashing image retrieval in JAX/Flax."""

from jhash.system import lazy

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

__getattr__ = lazy.attributes(__name__, {name: name for name in _PUBLIC})


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
