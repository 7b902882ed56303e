"""A table of two rows and two columns, whose runs are made up."""

import dataclasses
from pathlib import Path

import pytest

from jhash.commands import config_file
from jhash.sweeps import (
    Column,
    Curve,
    DataSet,
    Metric,
    Printed,
    Row,
    Table,
    figures,
    plan,
    sweep,
    training,
)
from tests.support import stub_run

ROOT = Path(__file__).resolve().parents[2]
TINY = "tests/support/tiny.py"


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    """Tables name configs as a user does in the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def table():
    """FDAH on tiny data, in two variants, and a method that is not there."""
    return Table(
        "A | table",
        "The paper's numbers are made up.",
        [
            Row("A", TINY),
            Row("B & C", TINY, overrides={"method.gamma2": 1.0}),
            Row("D", missing="not in jhash yet"),
        ],
        [DataSet("tiny", "embedded")],
        [
            Column("8 bits", overrides={"bits": 8}, x=8),
            Column("16 bits", overrides={"bits": 16}, x=16),
        ],
        [Metric("encoded.map", "MAP", paper={"tiny": Printed("A 50.0 60.10\nD 70 -")})],
        seeds=3,
        curves=[Curve("precision_recall")],
    )


@pytest.fixture
def undrawn(monkeypatch):
    """No figures, which take most of the time."""
    for name in ("by_column", "curves"):
        monkeypatch.setattr(figures, name, lambda plan, entries: [])


@pytest.fixture
def made(table, tmp_path):
    """Makes the plan of the table with other values of its fields and with options."""

    def make(options=None, **fields):
        options = {"runs": str(tmp_path / "runs"), **(options or {})}
        changed = dataclasses.replace(table, **fields)
        return plan.make(changed, plan.Options(**options), config_file.load)

    return make


@pytest.fixture
def stub(monkeypatch):
    """Runs are made up in place of being trained; the list has the folders of those that were."""
    trained = []

    def train(config, workdir):
        trained.append(workdir)
        stub_run.train(config, workdir)

    monkeypatch.setattr(training, "run", train)
    return trained


@pytest.fixture
def run(table, tmp_path):
    """Runs a sweep of the table with options, other fields and arguments."""

    def call(options=None, fields=None, command=(), **arguments):
        options = plan.Options(**{"runs": str(tmp_path / "runs"), **(options or {})})
        return sweep.run(
            dataclasses.replace(table, **(fields or {})),
            options,
            str(tmp_path / "out"),
            config_file.load,
            command,
            **arguments,
        )

    return call
