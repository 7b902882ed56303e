"""The runs of a table: which there are, in which folders, and which cannot be made here."""

import contextlib
import dataclasses
import difflib
import importlib.util
import itertools
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from jhash import data as data_sets
from jhash.errors import InputError
from jhash.runs import workdirs
from jhash.sweeps.table import Column, DataSet, Row, Table

# Groups of a config that take any name; the others have all of their fields.
_OPEN = ("data.options", "optimizer.arguments", "optimizer.rates")
_NOT_QUICK = "not in the quick version"


@dataclasses.dataclass(frozen=True)
class Options:
    """What a sweep makes of a table.

    Attributes:
      seeds: Number of seeds, from 0 on; None: that of the table.
      grid: Values to choose from, by the name of a field.
      quick: Whether to make the quick version.
      smoke: Whether to make tiny runs on random images, for tests.
      runs: Folder of the runs.
      validation: Number of images to choose with, where a config has none and there is a grid.
      folders: Folders of data sets, by the name of the data set.
    """

    seeds: int | None = None
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    quick: bool = False
    smoke: bool = False
    runs: str = "runs"
    validation: int = 1000
    folders: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A run of a table.

    Attributes:
      name: Row, data set, column, values of the grid, and seed.
      config: The config as a dict of JSON's types, as `workdirs.plain` makes it.
      workdir: The run's folder.
      command: The command that makes the run without a sweep.
    """

    name: str
    config: dict[str, Any]
    workdir: str
    command: str


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Values of a grid with which a place of a table may be filled.

    Attributes:
      values: The values by the name of their field; empty without a grid.
      cells: A run for each seed.
    """

    values: Mapping[str, Any]
    cells: Sequence[Cell]


@dataclasses.dataclass(frozen=True)
class Place:
    """A place of a table.

    Attributes:
      row: The row.
      data: The data set of the paper.
      column: The column.
      candidates: The ways to fill it, one for each combination of the grid's values; empty if it is
        not filled.
      reason: The reason for which it is not filled; empty if it is.
      failure: The error that its config makes; empty if there is none.
    """

    row: Row
    data: DataSet
    column: Column
    candidates: Sequence[Candidate] = ()
    reason: str = ""
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A table with all of its runs.

    Attributes:
      table: The table.
      options: What the sweep makes of it.
      seeds: Number of seeds.
      places: The places of the table, row by row.
      used: The data set that is used for each of the table's, by its name; None if it is left out.
      reasons: The reason for which another or none is used, by the name of the table's.
    """

    table: Table
    options: Options
    seeds: int
    places: Sequence[Place]
    used: Mapping[str, DataSet | None]
    reasons: Mapping[str, str]

    def images(self, data: DataSet) -> str:
        """Says which images the runs on a data set of the table have."""
        used = self.used[data.name]
        if used is None:
            return data.name
        name = "random images" if self.options.smoke else used.name
        return name if name == data.name else f"{name} in place of {data.name}"


def make(table: Table, options: Options, load: Callable[[str], ml_collections.ConfigDict]) -> Plan:
    """Lists the runs of a table, and looks which data sets can be opened here.

    Args:
      table: The table.
      options: What to make of it.
      load: Function that loads the config `FILE.py:ARGUMENT`.

    Raises:
      InputError: A field of the grid must not be chosen, or no row has the field or takes a value;
        or there is no data set of a name, or none in the folder that is given for it.
    """
    for field in options.grid:
        if field == "seed" or field.startswith("data."):
            raise InputError(
                f"--grid: {field} given; allowed: fields other than seed and those of data, as "
                "values are compared on the same images and with the same seed."
            )
        for column in table.columns:
            if field in _fields_of(column):
                raise InputError(
                    f"--grid: {field} given; allowed: fields that no column sets, as {column.name} "
                    "does."
                )
    names = _names_of_data(table.data)
    for name in options.folders:
        if name not in names:
            raise InputError(f"--folder: {name!r} given; allowed: {', '.join(names)}.")
    maker = _Maker(table, options, load)
    places = [
        maker.place(row, data, column)
        for data in table.data
        for row in table.rows
        for column in table.columns
    ]
    if maker.error and not any(place.candidates for place in places):
        raise maker.error
    return Plan(table, options, maker.seeds, places, maker.used, maker.reasons)


def _fields_of(column):
    """Returns the names of the fields that a column sets."""
    words = [word.partition("=")[0] for word in column.argument.split(",")]
    return [*words, *column.overrides]


def _names_of_data(data):
    """Returns the names of data sets, and of those that may take their places."""
    several = [data for data in data if data is not None]
    if not several:
        return []
    others = [other for one in several for other in (one.stand_in, one.quick)]
    return list(dict.fromkeys([one.name for one in several] + _names_of_data(others)))


class _Maker:
    """Makes the places of one table."""

    def __init__(self, table, options, load):
        self._table, self._options, self._load = table, options, load
        # A quick version has one seed, unless the command says otherwise.
        self.seeds = options.seeds or (1 if options.quick else table.seeds)
        # The first error that the grid makes.
        self.error: InputError | None = None
        self._opened: dict[str, str] = {}
        self.used: dict[str, DataSet | None] = {}
        self.reasons: dict[str, str] = {}
        for data in table.data:
            self.used[data.name], self.reasons[data.name] = self._choose(data)

    def place(self, row, data, column):
        """Makes a place with its runs."""
        place = Place(row, data, column)
        used = self.used[data.name]
        reason = row.missing or row.unfit.get(data.name) or _lacking(row)
        if reason:
            return dataclasses.replace(place, reason=reason)
        if used is None:
            return dataclasses.replace(place, reason=self.reasons[data.name])
        if self._options.quick and not column.quick:
            return dataclasses.replace(place, reason=_NOT_QUICK)
        try:
            config, words, fields = self._config(row, used, column)
        except InputError as error:
            return dataclasses.replace(place, failure=str(error))
        reason = self._no_choice(row, config)
        if reason:
            return dataclasses.replace(place, reason=reason)
        name = f"{row.name}, {used.name}, {column.name}"
        try:
            candidates = self._candidates(name, row, config, words, fields)
        except InputError as error:
            self.error = self.error or error
            return dataclasses.replace(place, failure=str(error))
        return dataclasses.replace(place, candidates=candidates)

    def _no_choice(self, row, config):
        """Returns the reason for which a row has no value of a grid to choose; empty if it has."""
        for field, values in self._options.grid.items():
            if field in row.overrides:
                return f"its {field} is what the row is about, and cannot be chosen"
            try:
                _group(config, field, values[0])
            except InputError as error:
                self.error = self.error or error
                return f"has no {field} to choose"
        return ""

    def _candidates(self, name, row, config, words, fields):
        grid = self._options.grid
        candidates = []
        for values in itertools.product(*grid.values()):
            chosen = dict(zip(grid, values, strict=True))
            cells = [
                self._cell(name, config, words, fields, chosen, seed)
                for seed in range(min(self.seeds, row.seeds or self.seeds))
            ]
            candidates.append(Candidate(chosen, cells))
        return candidates

    def _choose(self, data):
        """Returns (data set, reason): what is used for a data set of the table, and why."""
        if self._options.quick:
            if data.quick is None:
                return None, _NOT_QUICK
            return data.quick, "" if data.quick.name == data.name else "this is the quick version"
        reasons = []
        one = data
        while one is not None:
            reason = self._cannot_open(one)
            if not reason:
                return one, "; ".join(reasons)
            if one.name in self._options.folders:
                raise InputError(
                    f"--folder: {self._options.folders[one.name]} given for {one.name}; allowed: a "
                    f"folder with its images ({reason})"
                )
            reasons.append(f"{one.name} is not here ({reason})")
            one = one.stand_in
        return None, "; ".join(reasons)

    def _cannot_open(self, data):
        """Returns the reason for which a data set cannot be opened; empty if it can be."""
        for row in self._table.rows:
            if not row.config:
                continue
            try:
                config, _, _ = self._config(row, data, self._table.columns[0])
            except InputError:
                continue  # Each place of the row will have the error.
            key = json.dumps(config.data.to_dict(), sort_keys=True)
            if key not in self._opened:
                self._opened[key] = _error_of_opening(config.data)
            return self._opened[key]
        return ""

    def _config(self, row, data, column):
        """Makes the config of a place.

        Returns:
          (config, words, fields): the config; FILE.py:ARGUMENT; and the values of fields that
          differ from it.
        """
        arguments = [
            data.argument,
            row.argument,
            row.by_data.get(data.name, ""),
            column.argument,
        ]
        arguments += ["smoke"] if self._options.smoke else []
        words = f"{row.config}:{','.join(filter(None, arguments))}".rstrip(":")
        fields = {**data.overrides, **row.overrides, **column.overrides}
        if self._options.quick:
            fields |= row.quick
        config = self._load(words)
        if self._options.smoke:
            # A smoke run is as short as it can be already, and has images of its own.
            fields = {
                name: value
                for name, value in fields.items()
                if name not in ("epochs", "data.split")
            }
        elif data.name in self._options.folders:
            option = "data_dir" if config.data.source.startswith("tfds:") else "folder"
            fields[f"data.options.{option}"] = self._options.folders[data.name]
        for name, value in fields.items():
            override(config, name, value)
        return config, words, fields

    def _cell(self, name, config, words, fields, chosen, seed):
        config = ml_collections.ConfigDict(config.to_dict())
        fields = {**fields, **chosen, "seed": seed}
        if self._options.grid and not config.data.get("validation"):
            fields["data.validation"] = self._options.validation
        for field, value in fields.items():
            override(config, field, value)
        names = [name, *(f"{field}={value}" for field, value in chosen.items()), f"seed {seed}"]
        default = workdirs.default(config)
        workdir = os.path.join(self._options.runs, os.path.basename(default))
        command = f"python launch.py --config={shlex.quote(words)}"
        for field, value in fields.items():
            command += f" --config.{field}={shlex.quote(str(value))}"
        if workdir != default:
            command += f" --workdir={shlex.quote(workdir)}"
        return Cell(", ".join(names), workdirs.plain(config), workdir, command)


def override(config: ml_collections.ConfigDict, field: str, value: Any) -> None:
    """Sets a field of a config.

    Args:
      config: The config.
      field: Name of the field, such as `optimizer.learning_rate`.
      value: Its value.

    Raises:
      InputError: There is no such field, or it has values of another type.
    """
    group, name = _group(config, field, value)
    try:
        with contextlib.ExitStack() as stack:
            if _is_open(field):
                stack.enter_context(group.unlocked())
                stack.enter_context(group.ignore_type())
            group[name] = value
    except TypeError as error:
        raise InputError(
            f"config.{field}: {value!r} given; allowed: values of the type of {group[name]!r}."
        ) from error


def _group(config, field, value):
    """Returns (group, name): the part of a config that has a field, and the field's name there."""
    *groups, name = field.split(".")
    group = config
    for one in groups:
        group = group.get(one) if isinstance(group, ml_collections.ConfigDict) else None
    is_group = isinstance(group, ml_collections.ConfigDict)
    if not is_group or not (_is_open(field) or name in group):
        alike = difflib.get_close_matches(name, list(group) if is_group else [], 1)
        hint = f" Did you mean {alike[0]}?" if alike else ""
        raise InputError(
            f"config.{field}: {value!r} given, but there is no such field; allowed: fields of "
            f"this config.{hint}"
        )
    return group, name


def _is_open(field):
    return field.rpartition(".")[0] in _OPEN


def _lacking(row):
    """Returns which packages a row lacks here; empty if it lacks none."""
    lacking = [
        f"{name} is not installed ({how})"
        for name, how in row.needs.items()
        if importlib.util.find_spec(name) is None
    ]
    return "; ".join(lacking)


def _error_of_opening(config):
    try:
        data_sets.load_config(config)
    except InputError as error:
        return str(error)
    return ""
