"""The words of a table file: rows, columns, data sets and metrics, and the numbers of a paper."""

import dataclasses
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

from jhash.errors import InputError

# What the number of a metric is multiplied by for each unit, and the decimals that are shown.
UNITS = {"%": (100, 2), "min": (1 / 60, 1), "µs": (1e6, 0), "": (1, 4), "count": (1, 0)}
# Those that go without saying.
_UNNAMED = ("", "count")
# The values of a metric that are the best: the highest, the lowest, or those nearest to 1.
BEST = ("max", "min", "one", "none")
CURVES = ("precision_recall", "precision_at_n", "training")
# What stands for a number that a paper does not give.
_ABSENT = "-"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set of a table, for which a config has a word.

    Attributes:
      name: Name of the data set.
      argument: Words of a config's argument that choose it, such as `fashion_mnist`.
      overrides: Values of fields of the config, by name, such as `{"epochs": 5}`.
      stand_in: What takes its place where the data set cannot be opened.
      quick: What takes its place in the quick version; None: the quick version leaves it out.
    """

    name: str
    argument: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stand_in: "DataSet | None" = None
    quick: "DataSet | None" = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A method, or a variant of one.

    Attributes:
      name: Name in the paper.
      config: File of its config, such as `configs/fdah.py`; empty if `missing` is given.
      argument: Words of the config's argument, such as `attention=none`.
      by_data: Further words, by the name of the data set that is used, of this table or of another
        one that has the row.
      overrides: Values of fields of the config, by name.
      quick: Further values of fields in the quick version.
      seeds: Max number of seeds: 1 for a method that draws nothing; None: as many as the table has.
      choose_by: Metric of the validation that chooses a value of --grid.
      needs: Modules of other packages that the row needs, and how to get each.
      missing: The reason for which the row cannot be run anywhere yet.
      unfit: The reason for which it cannot be run on a data set, by the name of the data set.
    """

    name: str
    config: str = ""
    argument: str = ""
    by_data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    quick: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int | None = None
    choose_by: str = "map_encoded"
    needs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing: str = ""
    unfit: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Column:
    """A code length, or a value of another field.

    Attributes:
      name: Heading.
      argument: Words of the config's argument, such as `bits=12`.
      overrides: Values of fields of the config, by name.
      axis: Name of what differs from column to column. Columns of one axis make a table.
      x: Place of the column in a figure; None: there is no figure.
      quick: Whether the quick version has the column.
    """

    name: str
    argument: str = ""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    axis: str = "bits"
    x: float | None = None
    quick: bool = True


def bits(*lengths: int, quick: Sequence[int] | None = None) -> tuple[Column, ...]:
    """Makes a column for each code length; the quick version has all, or those of `quick`."""
    return tuple(
        Column(f"{length} bits", f"bits={length}", x=length, quick=quick is None or length in quick)
        for length in lengths
    )


@dataclasses.dataclass(frozen=True)
class Printed:
    """The numbers that a paper prints, digit by digit.

    Attributes:
      text: A line for each row: its name, then a number per column of the axis, or `-`.
      fractions: Whether the paper prints fractions of 1, which are shown as percents.
      axis: The axis of the columns; see `Column`.
    """

    text: str
    fractions: bool = False
    axis: str = "bits"

    def numbers(self, columns: Sequence[Column]) -> dict[tuple[str, str], decimal.Decimal]:
        """Returns the numbers by (name of the row, name of the column).

        Raises:
          InputError: A line has too few numbers, or something that is none.
        """
        columns = [column for column in columns if column.axis == self.axis]
        found = {}
        for line in filter(None, map(str.strip, self.text.splitlines())):
            name, *words = line.rsplit(None, len(columns))
            if len(words) != len(columns):
                raise InputError(
                    f"text: {line!r} given; allowed: a name and {len(columns)} numbers."
                )
            for column, word in zip(columns, words, strict=True):
                if word != _ABSENT:
                    found[name, column.name] = self._read(line, word)
        return found

    def _read(self, line, word):
        try:
            number = decimal.Decimal(word)
        except decimal.InvalidOperation as error:
            raise InputError(
                f"text: {line!r} given; allowed: numbers, and {_ABSENT!r} for those that the paper "
                "does not print."
            ) from error
        # Exact: the digits are the paper's.
        return number.scaleb(2) if self.fractions else number


def split(text: str, *widths: int, fractions: bool = False) -> list[Printed]:
    """Splits the lines of a paper's table, which go on over several data sets or metrics.

    Args:
      text: A line for each row: its name and all of its numbers.
      *widths: Number of numbers that belong to each part.
      fractions: As for `Printed`.

    Returns:
      The numbers of each part.

    Raises:
      InputError: A line has another number of numbers.
    """
    parts: list[list[str]] = [[] for _ in widths]
    for line in filter(None, map(str.strip, text.splitlines())):
        name, *words = line.rsplit(None, sum(widths))
        if len(words) != sum(widths):
            raise InputError(f"text: {line!r} given; allowed: a name and {sum(widths)} numbers.")
        for part, width in zip(parts, widths, strict=True):
            part.append(" ".join([name, *words[:width]]))
            del words[:width]
    return [Printed("\n".join(part), fractions) for part in parts]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number of `results.json` that a table shows.

    Attributes:
      key: Its place in `results.json`, such as `learned.map` or `train_seconds`.
      name: Heading.
      unit: A name of `UNITS`.
      best: Which values are the best: "max", "min", "one" (nearest to 1) or "none".
      paper: The paper's numbers by the name of the data set.
      rows: Names of the rows that have the metric; None: all.
      data: Names of the data sets on which it is measured; None: all.
    """

    key: str
    name: str
    unit: str = "%"
    best: str = "max"
    paper: Mapping[str, Printed | Sequence[Printed]] = dataclasses.field(default_factory=dict)
    rows: Sequence[str] | None = None
    data: Sequence[str] | None = None

    @property
    def in_unit(self) -> str:
        """The unit behind a comma, for headings."""
        return "" if self.unit in _UNNAMED else f", {self.unit}"


@dataclasses.dataclass(frozen=True)
class Curve:
    """A figure for each data set and column, with a curve for each row.

    Attributes:
      kind: "precision_recall", "precision_at_n", or "training" for a metric of the log.
      key: `learned` or `encoded`, the kind of database codes, or the name of the metric in the log.
      folder: For "training": a folder of the run that has a log of its own; empty: the run's.
    """

    kind: str
    key: str = "encoded"
    folder: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table or a figure of a paper.

    Attributes:
      title: Heading.
      source: Where the paper's numbers are from, with what they are.
      rows: Rows in the paper's order.
      data: Data sets in the paper's order.
      columns: Columns in the paper's order.
      metrics: What is shown of each cell.
      seeds: Default number of seeds.
      curves: Figures besides those by column.
      notes: Sentences that a reader has to know.
      pairs: Names of two rows each that are compared with a paired test of significance.
    """

    title: str
    source: str
    rows: Sequence[Row]
    data: Sequence[DataSet]
    columns: Sequence[Column]
    metrics: Sequence[Metric]
    seeds: int = 3
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()

    @property
    def axes(self) -> list[str]:
        """The axes in the order of their first columns."""
        return list(dict.fromkeys(column.axis for column in self.columns))

    def columns_of(self, axis: str) -> list[Column]:
        """Returns the columns of an axis."""
        return [column for column in self.columns if column.axis == axis]

    def paper(self, metric: Metric, data: DataSet) -> dict[tuple[str, str], decimal.Decimal]:
        """Returns the paper's numbers of a metric on a data set, by (row, column)."""
        printed = metric.paper.get(data.name, ())
        numbers = {}
        for one in (printed,) if isinstance(printed, Printed) else printed:
            numbers |= one.numbers(self.columns)
        return numbers


def check(table: Any) -> Table:
    """Checks a table that a file made; returns it.

    Raises:
      InputError: It is no table, or a part of it does not fit the others; the message names it.
    """
    if not isinstance(table, Table):
        raise InputError(
            f"get_table: a {type(table).__name__} returned; allowed: a jhash.sweeps.Table."
        )
    for field in ("rows", "data", "columns", "metrics"):
        parts = getattr(table, field)
        if not parts:
            raise InputError(f"table.{field}: none given; allowed: one or more.")
        names = [part.key if field == "metrics" else part.name for part in parts]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"table.{field}: {name!r} given twice; allowed: once.")
    for row in table.rows:
        if bool(row.config) == bool(row.missing):
            raise InputError(
                f"table.rows: {row.name!r} given; allowed: rows with either config or missing."
            )
        for name in row.unfit:
            _check_choice(f"rows.{row.name}.unfit", name, [data.name for data in table.data])
    if type(table.seeds) is not int or table.seeds < 1:
        raise InputError(f"table.seeds: {table.seeds!r} given; allowed: 1 or more.")
    names = [row.name for row in table.rows]
    for metric in table.metrics:
        _check_metric(table, metric, names)
    for pair in table.pairs:
        for name in pair:
            _check_choice("pairs", name, names)
    for curve in table.curves:
        _check_choice("curves", curve.kind, CURVES)
    return table


def _check_metric(table, metric, names):
    _check_choice(f"metrics.{metric.key}.unit", metric.unit, UNITS)
    _check_choice(f"metrics.{metric.key}.best", metric.best, BEST)
    for name in metric.rows or ():
        _check_choice(f"metrics.{metric.key}.rows", name, names)
    for name in (*metric.paper, *(metric.data or ())):
        _check_choice(f"metrics.{metric.key}.data", name, [data.name for data in table.data])
    for data in table.data:
        for row, _ in table.paper(metric, data):
            _check_choice(f"metrics.{metric.key}.paper", row, metric.rows or names)


def _check_choice(field, value, allowed):
    if value not in allowed:
        raise InputError(f"table.{field}: {value!r} given; allowed: {', '.join(allowed)}.")
