"""Trains a config, or evaluates a run: python launch.py --config=configs/fdah.py."""

import os
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from jhash import evaluate, train
from jhash.commands import overrides
from jhash.errors import InputError, NonFiniteError
from jhash.runs import paths, workdirs
from jhash.system import imports, malloc

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The config: FILE.py or FILE.py:ARGUMENT."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run's folder; default: a folder per config, in runs/."
)
_TRUST = flags.DEFINE_list(
    "trust-modules",
    [],
    "For --mode=eval: modules of your own that the run may name, found in the current folder.",
)
_MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval"], "train: train and evaluate; eval: evaluate --workdir again."
)


def main(_):
    """Trains and evaluates, or only evaluates; prints results, and writes the report."""
    malloc.keep_freed()
    logging.set_verbosity(logging.WARNING)  # orbax reports every step of every save.
    if _MODE.value == "eval":
        if not _WORKDIR.value or _CONFIG.present:
            raise InputError(
                "--mode: eval given; allowed: with --workdir, a run's folder, and without --config."
            )
        if not _TRUST.value:
            # The run may be somebody else's, and so may be the files in the current folder.
            sys.path.remove(os.getcwd())
        workdir = _WORKDIR.value
        results = evaluate.evaluate_workdir(workdir, _TRUST.value)
        trust_modules = _TRUST.value
    else:
        trust_modules = None  # The config is code of the user's, so the modules that it names are.
        _check_config()
        workdir = _WORKDIR.value or workdirs.default(_CONFIG.value)
        results = train.train(_CONFIG.value, workdir)
    from jhash import report  # Takes half a second, for which no error message should wait.
    from jhash.report import summary

    print(f"\n{summary.table(results)}\n")
    for line in report.write([workdir], paths.report(workdir), trust_modules):
        print(f"jhash: {line}", file=sys.stderr)
    print(summary.next_commands(workdir, imports.users_modules()))


def _check_config():
    if not _CONFIG.present:
        raise InputError("--config: none given; allowed: a file, such as --config=configs/fdah.py.")
    path = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]
    if not os.path.exists(path):
        raise InputError(
            f"--config: {path} given; allowed: a file, and there is none of that name."
        )


def _parse(arguments):
    # In place, because the flag of a config reads sys.argv itself.
    sys.argv[:], taken = overrides.take_open(arguments)
    try:
        parsed = app.parse_flags_with_usage(sys.argv)
    except AttributeError as error:
        refused = overrides.unknown_field(error, arguments)
        if refused is None:
            raise
        raise refused from error
    if _CONFIG.present:
        overrides.apply_open(_CONFIG.value, taken)
    return parsed


def _run():
    # A user's own loss, method or source lies in the folder where the command is given.
    sys.path.append(os.getcwd())
    try:
        app.run(main, flags_parser=_parse)
    except (InputError, NonFiniteError) as error:
        sys.exit(f"jhash: {error}")


if __name__ == "__main__":
    _run()
