"""Sweeps: the cells of a paper's table, each of which is a run, and the table that they make.

A table file (`configs/tables/`) says what a table holds, in the words of `table`. `plan` makes a
list of runs of it, `training` trains those that are missing, `summary` collects what all of them
measured, and `output` writes it.
"""

from jhash.sweeps.table import (
    Column,
    Curve,
    DataSet,
    Metric,
    Printed,
    Row,
    Table,
    bits,
    check,
    split,
)

__all__ = [
    "Column",
    "Curve",
    "DataSet",
    "Metric",
    "Printed",
    "Row",
    "Table",
    "bits",
    "check",
    "split",
]
