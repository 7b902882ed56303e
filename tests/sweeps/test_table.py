"""The words of a table file."""

import dataclasses
from decimal import Decimal

import pytest

from jhash.errors import InputError
from jhash.sweeps import Column, Curve, DataSet, Metric, Printed, Row, Table, bits, check, split

TABLE = Table(
    "A table",
    "A paper.",
    [Row("A b", "configs/fdah.py"), Row("C*", missing="not yet")],
    [DataSet("one", "embedded")],
    [*bits(8, 16), Column("x", axis="x")],
    [Metric("encoded.map", "MAP", paper={"one": Printed("A b 0.5 12.30\nC* - 7")})],
)


def test_the_digits_are_those_of_the_paper():
    (metric,), (data,) = TABLE.metrics, TABLE.data
    assert {place: str(number) for place, number in TABLE.paper(metric, data).items()} == {
        ("A b", "8 bits"): "0.5",
        ("A b", "16 bits"): "12.30",
        ("C*", "16 bits"): "7",
    }
    # 0.29 * 100 is 28.999999999999996 for floats.
    fractions = Printed("A 0.29 0.1330", fractions=True).numbers(bits(8, 16))
    assert list(fractions.values()) == [Decimal("29"), Decimal("13.30")]
    assert f"{fractions['A', '16 bits']:f}" == "13.30"


def test_lines_are_split_over_data_sets():
    first, second = split("A b 1 2 3\n\nC 4 - 6\n", 2, 1)
    assert (first.text, second.text) == ("A b 1 2\nC 4 -", "A b 3\nC 6")
    with pytest.raises(InputError, match="'A 1' given; allowed: a name and 3 numbers"):
        split("A 1", 2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "table.rows: none given"),
        ({"rows": [TABLE.rows[0]] * 2}, "table.rows: 'A b' given twice"),
        ({"rows": [Row("A b")]}, "table.rows: 'A b' given; allowed: rows with either config or"),
        ({"rows": [TABLE.rows[0]]}, r"metrics.encoded.map.paper: 'C\*' given; allowed: A b"),
        ({"data": [DataSet("two", "x")]}, "metrics.encoded.map.data: 'one' given; allowed: two"),
        ({"columns": bits(8)}, "metrics.encoded.map.paper: 'A b 0.5' given; allowed: A b"),
        ({"metrics": [Metric("a", "A", unit="s")]}, "metrics.a.unit: 's' given; allowed: %, min"),
        ({"metrics": [Metric("a", "A", best="top")]}, "metrics.a.best: 'top' given"),
        ({"metrics": [Metric("a", "A", rows=("Z",))]}, "metrics.a.rows: 'Z' given"),
        ({"curves": [Curve("roc")]}, "table.curves: 'roc' given; allowed: precision_recall"),
        ({"seeds": 0}, "table.seeds: 0 given; allowed: 1 or more"),
    ],
)
def test_a_table_that_does_not_fit_itself_is_refused(changes, message):
    assert check(TABLE) is TABLE
    with pytest.raises(InputError, match=message):
        check(dataclasses.replace(TABLE, **changes))


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match=r"get_table: a dict returned; allowed: a jhash\.sweeps"):
        check({})
    with pytest.raises(InputError, match="'A x 2' given; allowed: numbers, and '-'"):
        Printed("A x 2").numbers(bits(8, 16))
