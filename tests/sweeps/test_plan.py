"""The runs of a table."""

import re

import ml_collections
import pytest

from configs import fdah
from jhash.errors import InputError
from jhash.runs import workdirs
from jhash.sweeps import DataSet, Row, bits
from jhash.sweeps.plan import override

MISSING = DataSet("ImageNet", "nus_wide")


def places(plan):
    return {(place.row.name, place.column.name): place for place in plan.places}


def test_a_cell_is_the_run_that_its_command_makes(made):
    place = places(made())["B & C", "16 bits"]
    (candidate,) = place.candidates
    assert [cell.config["seed"] for cell in candidate.cells] == [0, 1, 2]
    cell = candidate.cells[2]
    assert cell.config["method"]["gamma2"] == 1.0
    assert cell.config["bits"] == 16
    assert re.fullmatch(
        r"python launch\.py --config=tests/support/tiny\.py:embedded "
        r"--config\.method\.gamma2=1\.0 --config\.bits=16 --config\.seed=2 --workdir=\S+",
        cell.command,
    )
    config = ml_collections.ConfigDict(cell.config)
    assert cell.workdir.endswith(workdirs.default(config))
    # In the folder that launch.py chooses, the command need not name it.
    (candidate,) = places(made({"runs": "runs"}))["A", "8 bits"].candidates
    assert "--workdir" not in candidate.cells[0].command


def test_what_cannot_be_run_has_a_reason(made):
    plan = made(
        rows=[
            Row("A", "tests/support/tiny.py"),
            Row("B", "tests/support/tiny.py", overrides={"method.gama2": 1.0}),
            Row("C", "tests/support/tiny.py", needs={"no_such_module": "pip install it"}),
            Row("D", missing="not in jhash yet"),
            Row("E", "tests/support/tiny.py", seeds=1),
        ],
        metrics=[],
    )
    by_row = {row: place for (row, column), place in places(plan).items() if column == "8 bits"}
    assert by_row["B"].failure == (
        "config.method.gama2: 1.0 given, but there is no such field; allowed: fields of this "
        "config. Did you mean gamma2?"
    )
    assert by_row["C"].reason == "no_such_module is not installed (pip install it)"
    assert by_row["D"].reason == "not in jhash yet"
    for row in "BCD":
        assert not by_row[row].candidates
    assert [len(by_row[row].candidates[0].cells) for row in "AE"] == [3, 1]


def test_data_that_are_missing_have_a_stand_in_or_are_left_out(made):
    rows = [Row("A", "configs/fdah.py")]
    quick = DataSet("small", "embedded")
    alone, replaced = (
        made(rows=rows, metrics=[], data=[data])
        for data in (MISSING, DataSet("COCO", "nus_wide", stand_in=quick))
    )
    assert alone.used == {"ImageNet": None}
    assert alone.reasons["ImageNet"].startswith(
        "ImageNet is not here (config.data.source: 'lists' given without the option folder"
    )
    assert alone.places[0].reason == alone.reasons["ImageNet"]
    assert replaced.used["COCO"] is quick
    assert "COCO is not here" in replaced.reasons["COCO"]
    assert replaced.places[0].candidates[0].cells[0].config["data"]["source"] == "embedded"
    # A folder that the command names is opened, and nothing takes its place.
    given = DataSet("COCO", "nus_wide", stand_in=quick)
    with pytest.raises(InputError, match=r"--folder: nowhere given for COCO; allowed: .*nowhere"):
        made({"folders": {"COCO": "nowhere"}}, rows=rows, metrics=[], data=[given])
    cifar10 = DataSet("CIFAR-10", "cifar10", stand_in=quick)
    with pytest.raises(InputError, match=r"--folder: nowhere given for CIFAR-10; .*nowhere"):
        made({"folders": {"CIFAR-10": "nowhere"}}, rows=rows, metrics=[], data=[cifar10])
    with pytest.raises(InputError, match="--folder: 'Imagenet' given; allowed: ImageNet"):
        made({"folders": {"Imagenet": "x"}}, rows=rows, metrics=[], data=[MISSING])


def test_the_quick_version_is_smaller(made):
    fashion = DataSet("Fashion-MNIST", "fashion_mnist", quick=DataSet("small", "embedded"))
    plan = made(
        {"quick": True},
        rows=[Row("A", "configs/fdah.py", quick={"epochs": 2})],
        metrics=[],
        data=[fashion, MISSING],
    )
    first, other = plan.places[0], plan.places[-1]
    (cell,) = first.candidates[0].cells
    assert (cell.config["data"]["source"], cell.config["epochs"]) == ("embedded", 2)
    assert other.reason == "not in the quick version"
    assert plan.seeds == 1
    assert made({"quick": True, "seeds": 2}, data=[fashion], metrics=[]).seeds == 2


def test_a_grid_switches_validation_on(made):
    grid = {"optimizer.learning_rate": (1e-3, 1e-2), "method.passes": (1, 2)}
    plan = made({"grid": grid, "validation": 20})
    place = places(plan)["A", "8 bits"]
    assert [candidate.values for candidate in place.candidates] == [
        {"optimizer.learning_rate": rate, "method.passes": passes}
        for rate in (1e-3, 1e-2)
        for passes in (1, 2)
    ]
    config = place.candidates[3].cells[0].config
    assert config["optimizer"]["learning_rate"] == 1e-2
    assert config["data"]["validation"] == 20
    assert "validation" not in places(made())["A", "8 bits"].candidates[0].cells[0].config["data"]
    rows = [Row("A", "tests/support/tiny.py", overrides={"data.validation": 30})]
    own = made({"grid": grid, "validation": 20}, rows=rows, metrics=[])
    assert own.places[0].candidates[0].cells[0].config["data"]["validation"] == 30
    # Each value and each seed has a folder of its own.
    cells = [cell for one in place.candidates for cell in one.cells]
    assert len({cell.workdir for cell in cells}) == 4 * 3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epoch", 3, "config.epoch: 3 given, but there is no such field; .* Did you mean epochs"),
        ("epochs.more", 3, "config.epochs.more: 3 given, but there is no such field"),
        ("epochs", 0.5, "config.epochs: 0.5 given; allowed: values of the type of 30"),
        ("method.gamma1", "x", "config.method.gamma1: 'x' given; allowed: values of the type of"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(field, value, message):
    config = fdah.get_config()
    with pytest.raises(InputError, match=message):
        override(config, field, value)
    assert config == fdah.get_config()


def test_open_groups_take_new_names():
    config = fdah.get_config()
    config.lock()
    override(config, "data.options.folder", "LISTS")
    override(config, "optimizer.learning_rate", 1)
    assert config.data.options.folder == "LISTS"
    assert config.optimizer.learning_rate == 1.0


def test_a_grid_of_an_unknown_field_is_refused(made):
    with pytest.raises(InputError, match=r"config\.optimizer\.rate: 1 given"):
        made({"grid": {"optimizer.rate": (1,)}})
    with pytest.raises(InputError, match=r"config\.epochs: 'x' given; allowed: values of the type"):
        made({"grid": {"epochs": ("x",)}})
    for field in ("seed", "data.seed"):
        with pytest.raises(InputError, match=f"--grid: {field} given; allowed: fields other than"):
            made({"grid": {field: (1,)}})


def test_a_grid_chooses_for_the_rows_that_have_its_field(made):
    """Other rows say why they have no number, and B is about the field."""
    rows = [
        Row("A", "tests/support/tiny.py"),
        Row("B", "tests/support/tiny.py", overrides={"method.gamma1": 1.0}),
        Row("C", "configs/dah.py"),
        Row("D", "tests/support/tiny.py", overrides={"model": "x"}),
    ]
    plan = made({"grid": {"method.gamma1": (1e-3, 1e-2)}}, rows=rows, metrics=[])
    by_row = {row: place for (row, column), place in places(plan).items() if column == "8 bits"}
    assert len(by_row["A"].candidates) == 2
    assert by_row["B"].reason == "its method.gamma1 is what the row is about, and cannot be chosen"
    assert by_row["C"].reason == "has no method.gamma1 to choose"
    assert "config.model: 'x' given" in by_row["D"].failure
    assert not any(by_row[row].candidates for row in "BCD")


def test_a_grid_does_not_choose_what_columns_set(made):
    with pytest.raises(InputError, match=r"--grid: bits given; .* as 8 bits does"):
        made({"grid": {"bits": (4, 12)}})
    columns = bits(8, 16)
    with pytest.raises(InputError, match=r"--grid: bits given; .* as 8 bits does"):
        made({"grid": {"bits": (4, 12)}}, columns=columns, metrics=[])
