"""The paths of the files in the folder of a run; every other module gets them here."""

import os

# The file of each set of codes in `codes/`.
_CODES = {
    "queries": "queries.npz",
    "encoded": "database.npz",
    "learned": "database_learned.npz",
}
# The kinds of database codes, in the order in which they are shown; see `jhash.evaluate.evaluate`.
DATABASES = ("learned", "encoded")


def config(workdir: str) -> str:
    """The config of the run, JSON."""
    return os.path.join(workdir, "config.json")


def images(workdir: str) -> str:
    """The images that take no part in the run, JSON; see `runs.image_record`."""
    return os.path.join(workdir, "images.json")


def lock(workdir: str) -> str:
    """The file that the training process locks."""
    return os.path.join(workdir, ".lock")


def evaluation_lock(workdir: str) -> str:
    """The file that the evaluating process locks."""
    return os.path.join(workdir, ".evaluation.lock")


def checkpoints(workdir: str) -> str:
    """The folder of checkpoints."""
    return os.path.join(workdir, "checkpoints")


def interrupted(workdir: str) -> str:
    """The folder of the checkpoint within an epoch that a signal leaves; see `runs.epochs`."""
    return os.path.join(workdir, "interrupted")


def pretrain(workdir: str) -> str:
    """The folder in which a method's `pretrain` may keep files."""
    return os.path.join(workdir, "pretrain")


def shared_features(workdir: str) -> str:
    """The folder beside those of a sweep's runs in which they keep features."""
    return os.path.join(os.path.dirname(os.path.abspath(workdir)), ".features")


def metrics(workdir: str) -> str:
    """The log, one JSON object per line."""
    return os.path.join(workdir, "metrics.jsonl")


def tensorboard(workdir: str) -> str:
    """The folder of events for TensorBoard."""
    return os.path.join(workdir, "tensorboard")


def profile(workdir: str) -> str:
    """The folder of the profiler's traces; see `runs.profile`."""
    return os.path.join(workdir, "profile")


def encoder(workdir: str) -> str:
    """The trained model with everything that encodes an image; see `jhash.encoding.encoder`."""
    return os.path.join(workdir, "encoder.bin")


def codes(workdir: str, name: str) -> str:
    """A set of codes: `queries`, or a kind of database codes, `encoded` or `learned`."""
    return os.path.join(workdir, "codes", _CODES[name])


def results(workdir: str) -> str:
    """The results of the run, JSON; the evaluation writes it last."""
    return os.path.join(workdir, "results.json")


def reconstruction(workdir: str) -> str:
    """Images, and what an invertible model reconstructs from their features."""
    return os.path.join(workdir, "reconstruction.npz")


def report(workdir: str) -> str:
    """The page about the run."""
    return os.path.join(workdir, "report.html")
