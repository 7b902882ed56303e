"""The files of a run's folder, each named here and nowhere else."""

import os

# Sets of codes: file names by what a set holds.
_CODES = {
    "queries": "queries.npz",
    "encoded": "database.npz",
    "learned": "database_learned.npz",
}
# Kinds of database codes, in the order in which they are shown; never mixed.
DATABASES = ("learned", "encoded")


def config(workdir: str) -> str:
    """The config that the folder belongs to, JSON."""
    return os.path.join(workdir, "config.json")


def lock(workdir: str) -> str:
    """The file that the training process holds."""
    return os.path.join(workdir, ".lock")


def checkpoints(workdir: str) -> str:
    """The folder of checkpoints."""
    return os.path.join(workdir, "checkpoints")


def pretrain(workdir: str) -> str:
    """The folder of what a method's `pretrain` keeps."""
    return os.path.join(workdir, "pretrain")


def metrics(workdir: str) -> str:
    """The log: a JSON object per line."""
    return os.path.join(workdir, "metrics.jsonl")


def tensorboard(workdir: str) -> str:
    """The folder of TensorBoard's events."""
    return os.path.join(workdir, "tensorboard")


def encoder(workdir: str) -> str:
    """What encoding an image takes: see `jhash.encoding.encoder`."""
    return os.path.join(workdir, "encoder.bin")


def codes(workdir: str, name: str) -> str:
    """A set of codes: `queries`, or the database by kind, `encoded` or `learned`."""
    return os.path.join(workdir, "codes", _CODES[name])


def results(workdir: str) -> str:
    """All metrics, JSON; the evaluation writes it last."""
    return os.path.join(workdir, "results.json")


def reconstruction(workdir: str) -> str:
    """Images and what an invertible model's inverse makes of their features."""
    return os.path.join(workdir, "reconstruction.npz")


def report(workdir: str) -> str:
    """The page about the run."""
    return os.path.join(workdir, "report.html")
