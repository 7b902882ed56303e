"""The schema of `results.json`, checked when written and read, and of `metrics.jsonl`."""

import json
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jhash.errors import InputError
from jhash.runs import paths
from jhash.system import files, reading, text

# Characters of a value in a message.
_SHOWN = 40


class _Rule(NamedTuple):
    """A condition on a value: in words for errors, and as a function."""

    words: str
    holds: Callable[[Any], bool]


def _whole(minimum, maximum=None):
    if maximum is None:
        words = f"a whole number, {minimum} or more"
        maximum = 2**63 - 1
    else:
        words = f"{minimum} to {maximum}"
    return _Rule(words, lambda value: type(value) is int and minimum <= value <= maximum)


def _or_null(rule):
    return _Rule(f"{rule.words}, or null", lambda value: value is None or rule.holds(value))


_TEXT = _Rule("text", lambda value: isinstance(value, str))
_OBJECT = _Rule("an object", lambda value: isinstance(value, dict))
# Python reads JSON's NaN and Infinity, and whole numbers beyond float64; none of them is allowed.
_NUMBER = _Rule("a finite number", lambda value: type(value) in (int, float) and abs(value) < 1e308)
_FLAG = _Rule("true or false", lambda value: isinstance(value, bool))
_MEANS = _Rule(
    "an object of finite numbers",
    lambda value: isinstance(value, dict) and all(map(_NUMBER.holds, value.values())),
)
_PERCENT = _Rule(
    "more than 0 and up to 100", lambda value: _NUMBER.holds(value) and 0 < value <= 100
)
_RANKS = _Rule(
    "a list of whole numbers, 1 or more",
    lambda value: isinstance(value, list) and all(map(_whole(1).holds, value)),
)

# A dot leads into an object. The rule of an object comes before those of its fields.
_RESULTS = {
    "method": _TEXT,
    "model": _TEXT,
    "bits": _whole(1, 512),
    "seed": _NUMBER,
    "data": _OBJECT,
    "data.source": _TEXT,
    "data.split": _TEXT,
    "data.train": _whole(0),
    "data.database": _whole(1),
    "data.queries": _whole(1),
    # 0 if everything is learned before the first epoch.
    "epochs": _whole(0),
    "epochs_planned": _whole(0),
    "steps": _whole(0),
    "parameters": _whole(0),
    "train_seconds": _NUMBER,
    "encode_seconds_per_image": _NUMBER,
    "eval_batch_size": _whole(1),
    "versions": _OBJECT,
    "device": _OBJECT,
    "device.kind": _TEXT,
    "device.count": _whole(1),
    "device.machine": _TEXT,
    "git_revision": _or_null(_TEXT),
    "config": _OBJECT,
    "config.data": _OBJECT,
    "config.data.source": _TEXT,
    "config.data.split": _TEXT,
    "config.data.seed": _NUMBER,
    "config.data.options": _OBJECT,
    "config.metrics": _OBJECT,
}
# The digest of the encoder, and the fields of `device`, which results of older versions lack.
_NETWORK = {"network": _TEXT}
_PROCESSOR = {"device.processor": _TEXT, "device.cores": _whole(1)}
# The fields for a model with an inverse.
_RECONSTRUCTION = {
    "reconstruction": _OBJECT,
    "reconstruction.images": _whole(1),
    "reconstruction.identical_images": _whole(0),
    "reconstruction.largest_difference": _or_null(_NUMBER),
    "reconstruction.lattice": _or_null(_whole(0)),
    "reconstruction.out_of_range_images": _whole(0),
}
# The fields for a run with validation images.
_VALIDATION = {
    "validation": _OBJECT,
    "validation.metrics": _MEANS,
    "validation.size": _whole(1),
    # The epochs done by the model that is evaluated, and the metric that chose it.
    "validation.epoch": _whole(0),
    "validation.chosen_by": _or_null(_TEXT),
    "validation.stopped_early": _FLAG,
}
# The options of `retrieval.summarize`, which has a default for each.
_METRICS = {
    "map_at": _or_null(_whole(1)),
    "map_at_percent": _or_null(_PERCENT),
    "precision_ranks": _RANKS,
    "lookup_radius": _whole(0),
}


def write_results(workdir: str, results: dict[str, Any]) -> None:
    """Writes a run's `results.json`, whole or not at all.

    Raises:
      InputError: The results do not keep to the schema.
      OSError: The file cannot be written.
    """
    path = paths.results(workdir)
    check_results(path, json.loads(json.dumps(results, allow_nan=False)))
    files.write_json(path, results)


def read_results(workdir: str) -> dict[str, Any]:
    """Reads a run's `results.json`.

    Raises:
      InputError: There is no such file, or it does not keep to the schema; the message begins with
        its path.
    """
    path = paths.results(workdir)
    try:
        results = reading.read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the file cannot be read: {error}") from error
    check_results(path, results)
    return results


def check_results(path: str, results: Any, kinds: Sequence[str] = paths.DATABASES) -> None:
    """Checks the content of a `results.json`.

    Args:
      path: Path of the file, for errors.
      results: The parsed content.
      kinds: Names of the fields that hold the metrics of a kind of database codes; none is
        required.

    Raises:
      InputError: A field is missing, or its value is not allowed; the message names it.
    """
    _check(path, results, _RESULTS)
    if results["device"].keys() & {"processor", "cores"}:
        _check(path, results, _PROCESSOR)
    for kind in kinds:
        if kind in results:
            # Without labels there is no MAP.
            labeled = results["data"].get("labeled", True)
            _check(path, results, {kind: _OBJECT} | ({f"{kind}.map": _NUMBER} if labeled else {}))
    for name, rules in (
        ("network", _NETWORK),
        ("reconstruction", _RECONSTRUCTION),
        ("validation", _VALIDATION),
    ):
        if name in results:
            _check(path, results, rules)
    for name in results["config"]["metrics"]:
        if name not in _METRICS:
            raise InputError(
                f"{path}: config.metrics: {_name(name)} given; allowed: {', '.join(_METRICS)}."
            )
        _check(path, results, {f"config.metrics.{name}": _METRICS[name]})


def check_line(place: str, line: Any) -> None:
    """Checks a line of a `metrics.jsonl`.

    Args:
      place: Path and number of the line, for errors.
      line: The parsed line.

    Raises:
      InputError: The line is no object, has no step or no epoch, or has a value that is no number.
    """
    _require(place, line, "step", _whole(0))
    _require(place, line, "epoch", _whole(0))
    for name in line:
        _require(place, line, name, _NUMBER)


def _check(path, results, rules):
    """Checks fields of results, whose names may have dots, by their rules."""
    for field, rule in rules.items():
        *parents, last = field.split(".")
        holder = results
        for parent in parents:
            holder = holder[parent]
        _require(path, holder, last, rule, "".join(f"{parent}." for parent in parents))


def _require(place, holder, name, rule, prefix=""):
    """Raises InputError unless `holder` is an object whose field `name` fulfills the rule."""
    if not _OBJECT.holds(holder):
        raise InputError(f"{place}: {_shown(holder)} given; allowed: {_OBJECT.words}.")
    field = f"{place}: {prefix}{_name(name)}"
    if name not in holder:
        raise InputError(f"{field}: nothing given; allowed: {rule.words}.")
    if not rule.holds(holder[name]):
        raise InputError(f"{field}: {_shown(holder[name])} given; allowed: {rule.words}.")


def _name(name):
    """Returns a name of a file's own as a message can show it."""
    return text.shortened(name, _SHOWN)


def _shown(value):
    """Returns the beginning of a value; no more of it is made, however large or deep it is."""
    shown = repr(value[: _SHOWN + 1]) if isinstance(value, str) else reprlib.repr(value)
    return text.shortened(shown, _SHOWN)
