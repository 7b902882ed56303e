"""The folder of a run (files, checkpoints, log, codes, results) and the frame of its epochs."""

from jhash.runs import (
    best,
    checkpoints,
    code_classes,
    code_files,
    finished,
    image_record,
    log,
    paths,
    profile,
    provenance,
    schema,
    workdirs,
)
from jhash.runs.code_files import load_index
from jhash.runs.epochs import Epochs

__all__ = [
    "Epochs",
    "best",
    "checkpoints",
    "code_classes",
    "code_files",
    "finished",
    "image_record",
    "load_index",
    "log",
    "paths",
    "profile",
    "provenance",
    "schema",
    "workdirs",
]
