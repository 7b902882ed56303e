"""Trains a config, or evaluates a run: python launch.py --config=configs/fdah.py."""

import os
import signal
import sys

# While modules are imported, and while Python ends, Ctrl-C ends the process without a traceback.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from absl import app, flags, logging
from ml_collections import config_flags

from jhash import evaluate, parallel, train
from jhash.commands import boundary, config_file, overrides, together
from jhash.errors import InputError
from jhash.runs import paths, workdirs
from jhash.system import imports, interrupts, malloc

# The words of the command line that are flags, in which the flag of a config finds overrides.
_words: list[str] = []
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The config: FILE.py or FILE.py:ARGUMENT.", sys_argv=_words
)
flags.FLAGS["config"].parser = config_file.Parser(_words)
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
_DISTRIBUTED = flags.DEFINE_boolean(
    "distributed",
    False,
    "Train with the other processes that a cluster has started. Where JAX does not find them "
    "itself, --coordinator, --processes and --process say where they are.",
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.")
_PROCESSES = flags.DEFINE_integer("processes", None, "Number of processes.")
_PROCESS = flags.DEFINE_integer("process", None, "Number of this process, from 0 on.")
# The overrides that the flags do not handle, by field; see `overrides.take_open`.
_taken: dict[str, dict] = {}


def main(_):
    """Does the work, alone or together with other processes."""
    where = _COORDINATOR.value, _PROCESSES.value, _PROCESS.value
    if _DISTRIBUTED.value:
        together.run(_work, *where)
    elif any(value is not None for value in where):
        raise InputError(
            "--distributed: not given beside --coordinator, --processes or --process; allowed: "
            "with them."
        )
    else:
        _work()


def _work():
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
        changes = overrides.of_evaluation(_taken)
        results = evaluate.evaluate_workdir(workdir, _TRUST.value, **changes)
        trust_modules = _TRUST.value
    else:
        trust_modules = None  # The config is code of the user's, so the modules that it names are.
        if not _CONFIG.present:
            raise InputError(
                "--config: none given; allowed: a file, such as --config=configs/fdah.py."
            )
        workdir = workdirs.default(_CONFIG.value) if _WORKDIR.value is None else _WORKDIR.value
        results = train.train(_CONFIG.value, workdir)
    if not parallel.is_main():
        return
    from jhash import report  # Takes half a second, for which no error message should wait.
    from jhash.report import summary

    print(f"\n{summary.table(results)}\n")
    with interrupts.held(lambda: _without_report(workdir)), interrupts.at_once():
        missing = report.write([workdir], paths.report(workdir), trust_modules)
    for line in missing:
        print(f"jhash: {line}", file=sys.stderr)
    print(summary.next_commands(workdir, imports.users_modules()))


def _without_report(workdir):
    return f"{workdir} has all results; `python -m jhash report {workdir}` writes the page."


def _parse(arguments):
    _words[:], taken = overrides.take_open(arguments)
    _taken.update(taken)
    try:
        parsed = flags.FLAGS(_words)
    except flags.Error as error:
        _refuse_use(overrides.explain(error))
    if parsed[1:]:
        _refuse_use(f"{parsed[1]!r} given; allowed: flags alone, which begin with --.")
    if _CONFIG.present:
        overrides.apply_open(_CONFIG.value, taken)
    return parsed


def _refuse_use(message):
    print(f"jhash: {message}", file=sys.stderr)
    sys.exit(2)


def _run():
    # A user's own loss, method or source lies in the folder where the command is given.
    sys.path.append(os.getcwd())
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    status = boundary.run(_run)
    if parallel.joined():
        parallel.leave(status)
    boundary.leave(status)
