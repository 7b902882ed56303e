"""The folder of a run (files, checkpoints, log, codes, results) and the frame of its epochs."""

from jhash.runs import checkpoints, code_files, finished, log, paths, provenance, schema, workdirs
from jhash.runs.code_files import load_index
from jhash.runs.epochs import Epochs

__all__ = [
    "Epochs",
    "checkpoints",
    "code_files",
    "finished",
    "load_index",
    "log",
    "paths",
    "provenance",
    "schema",
    "workdirs",
]
