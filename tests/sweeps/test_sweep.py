"""Whole sweeps, of runs that are made up."""

import csv
import dataclasses
import json
import os
import re
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

from jhash.errors import InputError
from jhash.runs import workdirs
from jhash.sweeps import DataSet, Metric, training
from tests.support import stub_run

pytestmark = pytest.mark.usefixtures("undrawn")


def records(folder):
    with open(folder / "out" / "table.csv", newline="") as file:
        return {
            (line["row"], line["column"], line["metric"]): line for line in csv.DictReader(file)
        }


def scores(made, row, column):
    """The MAPs that `stub_run` makes up for the seeds of a place, in percent."""
    (place,) = [
        place for place in made().places if (place.row.name, place.column.name) == (row, column)
    ]
    return [
        100 * stub_run.results(cell.config)["map_encoded"] for cell in place.candidates[0].cells
    ]


def test_a_table_has_means_deviations_and_the_papers_numbers(run, made, stub, tmp_path):
    done = run()
    assert (len(stub), done.cells, done.failed) == (12, 12, 0)
    lines = records(tmp_path)
    for row in ("A", "B & C"):
        numbers = scores(made, row, "8 bits")
        line = lines[row, "8 bits", "encoded.map"]
        assert float(line["mean"]) == pytest.approx(statistics.mean(numbers), rel=1e-12)
        assert float(line["deviation"]) == pytest.approx(statistics.stdev(numbers), rel=1e-12)
        assert line["seeds"] == "3"
        shown = f"{statistics.mean(numbers):.2f} ± {statistics.stdev(numbers):.2f}"
        assert shown in done.markdown
    assert lines["A", "8 bits", "train_seconds"]["train_seconds"] == "120.0"
    assert lines["A", "16 bits", "encoded.map"]["paper"] == "60.10"
    assert lines["D", "8 bits", "encoded.map"]["remark"] == "not in jhash yet"
    assert lines["D", "8 bits", "encoded.map"]["mean"] == ""
    assert len(lines["A", "8 bits", "encoded.map"]["runs"].split()) == 3
    for column in ("8 bits", "16 bits"):
        means = [statistics.mean(scores(made, row, column)) for row in ("A", "B & C")]
        assert f"**{max(means):.2f} ± " in done.markdown
        assert f"**{min(means):.2f} ± " not in done.markdown
    assert re.search(r"\| D \| – \| \*\*70\*\* \| – \|  \| not in jhash yet \|", done.markdown)
    assert "n = 3 seeds" in done.markdown


def test_only_some_are_trained_and_all_are_shown(run, stub, tmp_path):
    run(only=["a", "8 bits"])
    assert len(stub) == 3
    lines = records(tmp_path)
    assert lines["A", "8 bits", "encoded.map"]["seeds"] == "3"
    assert lines["B & C", "8 bits", "encoded.map"]["seeds"] == "0"
    done = run(only=["B & C"], options={"seeds": 1})
    assert "| B & C |" in done.markdown
    assert len(stub) == 5
    run(train=False)
    assert len(stub) == 5
    # One seed of three is there.
    assert "1 of 3 seeds are trained" in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(InputError, match="--only: 'E' given; allowed: A, B & C, D; 8 bits, 16"):
        run(only=["E"])


def test_a_failed_cell_is_shown_and_the_others_go_on(run, monkeypatch, tmp_path, capsys):
    def train(config, workdir):
        if config["method"]["gamma2"] == 1.0 and config["seed"] == 1:
            raise InputError("config.x: 1 | 2 given; allowed: 3.")
        if config["method"]["gamma2"] == 1.0 and config["seed"] == 2:
            raise ZeroDivisionError("by\n0")
        stub_run.train(config, workdir)

    monkeypatch.setattr(training, "run", train)
    done = run()
    assert (done.cells, done.failed) == (12, 4)
    remark = "failed: config.x: 1 \\| 2 given; allowed: 3.; ZeroDivisionError: by 0"
    assert remark in done.markdown
    assert "(n = 1)" in done.markdown
    assert "B & C, tiny, 8 bits, seed 1: failed: config.x" in capsys.readouterr().err
    assert records(tmp_path)["A", "8 bits", "encoded.map"]["seeds"] == "3"
    # What has failed is tried again.
    monkeypatch.setattr(training, "run", stub_run.train)
    assert run().failed == 0


def test_the_config_of_a_row_that_is_wrong_counts_as_failed(run, stub, table):
    rows = [dataclasses.replace(table.rows[0], overrides={"epochs": "x"}), *table.rows[1:]]
    done = run(fields={"rows": rows})
    assert done.failed == 2
    assert "failed: config.epochs: 'x' given; allowed: values of the type of 4." in done.markdown


def test_results_of_others_are_data(run, made, stub, tmp_path):
    """A folder with results of another config, or damaged ones, is no finished cell."""
    run()
    cells = made().places[0].candidates[0].cells
    path = Path(cells[0].workdir) / "results.json"
    good = json.loads(path.read_text())
    for bad in (
        "{",
        "[]",
        json.dumps(good | {"config": good["config"] | {"epochs": 5}}),
        json.dumps(good | {"epochs": 1}),
        json.dumps(good | {"encoded": {"map": "<script>"}}),
    ):
        path.write_text(bad)
        assert [cell.workdir for cell in training.missing(cells)] == [cells[0].workdir], bad
    # Values that the schema leaves open.
    path.write_text(json.dumps(good | {"encoded": {"map": 0.5, "curve_radius_recall": "x"}}))
    assert training.missing(cells) == []
    run(train=False)


def test_a_grid_is_chosen_by_validation_and_not_by_the_queries(run, monkeypatch, tmp_path):
    trained = []

    def train(config, workdir):
        rate = config["optimizer"]["learning_rate"]
        trained.append((rate, config["seed"]))
        assert config["data"]["validation"] == 1000
        scores = {"map_encoded": {1e-3: 0.4, 1e-2: 0.7, 1e-1: 0.6}[rate], "loss": rate}
        # The queries say the opposite.
        stub_run.train(
            config,
            workdir,
            encoded={"map": 1 - scores["map_encoded"]},
            validation={
                "metrics": scores,
                "size": 1000,
                "epoch": 4,
                "chosen_by": None,
                "stopped_early": False,
            },
        )

    monkeypatch.setattr(training, "run", train)
    grid = {"optimizer.learning_rate": (1e-3, 1e-2, 1e-1)}
    done = run({"grid": grid}, only=["A", "8 bits"])
    assert trained == [(1e-3, 0), (1e-2, 0), (1e-1, 0), (1e-2, 1), (1e-2, 2)]
    assert "30.00 ± 0.00" in done.markdown
    assert "optimizer.learning_rate were chosen on the validation images" in done.markdown
    assert (
        "A, tiny, 8 bits: optimizer.learning_rate=0.01 chosen by map_encoded of "
        "optimizer.learning_rate=0.001: 0.4000; optimizer.learning_rate=0.01: 0.7000; "
        "optimizer.learning_rate=0.1: 0.6000."
    ) in done.markdown
    with pytest.raises(InputError, match=r"--by: 'auc' given; allowed: .* are loss, map_encoded"):
        run({"grid": grid}, only=["A"], choose_by="auc")


def test_each_row_has_its_own_metric_of_choice(run, table, monkeypatch):
    """A method without learned codes has no MAP of them."""

    def train(config, workdir):
        scores = {"map_encoded": 1 / config["epochs"], "map_learned": config["epochs"] / 10}
        if config["method"]["passes"] == 3:  # Row A.
            del scores["map_learned"]
        validation = {"metrics": scores, "size": 1000, "epoch": 4}
        validation |= {"chosen_by": None, "stopped_early": False}
        stub_run.train(config, workdir, validation=validation)

    monkeypatch.setattr(training, "run", train)
    first, second, *others = table.rows
    first = dataclasses.replace(first, overrides={"method.passes": 3})
    second = dataclasses.replace(second, overrides={"method.passes": 4}, choose_by="map_learned")
    done = run({"grid": {"epochs": (2, 3)}, "seeds": 1}, {"rows": [first, second, *others]})
    assert done.failed == 0
    assert "A, tiny, 8 bits: epochs=2 chosen by map_encoded of" in done.markdown
    assert "B & C, tiny, 8 bits: epochs=3 chosen by map_learned of" in done.markdown


def test_candidates_that_fail_are_shown_and_have_no_further_seeds(run, monkeypatch):
    def train(config, workdir):
        assert config["seed"] == 0
        raise InputError(f"config.epochs: {config['epochs']} given.")

    monkeypatch.setattr(training, "run", train)
    done = run({"grid": {"epochs": (2, 3)}}, only=["A", "8 bits"])
    assert done.failed == 2
    assert "failed: config.epochs: 2 given." in done.markdown


def test_a_run_without_validation_cannot_be_chosen(run, stub):
    with pytest.raises(InputError, match=r"--by: 'map_encoded' given; .* which has none"):
        run({"grid": {"method.passes": (1, 2)}, "seeds": 1})


def validated(config, workdir, **scores):
    """Makes up a run with metrics of the validation."""
    validation = {"metrics": scores, "size": 1000, "epoch": config["epochs"]}
    validation |= {"chosen_by": None, "stopped_early": False}
    stub_run.train(config, workdir, validation=validation)


def test_a_candidate_that_fails_is_no_failure_of_the_table(run, monkeypatch):
    """Such as a learning rate that diverges."""

    def train(config, workdir):
        if config["epochs"] == 3:
            raise InputError("config.epochs: 3 given; allowed: fewer.")
        validated(config, workdir, map_encoded=config["epochs"] / 10)

    monkeypatch.setattr(training, "run", train)
    for _ in range(2):
        done = run({"grid": {"epochs": (1, 2, 3)}, "seeds": 2}, only=["A", "8 bits"])
        assert (done.cells, done.failed) == (4, 0)
        assert (
            "A, tiny, 8 bits: epochs=2 chosen by map_encoded of epochs=1: 0.1000; "
            "epochs=2: 0.2000; epochs=3: failed: config.epochs: 3 given; allowed: fewer."
        ) in done.markdown


def test_a_metric_that_there_is_not_is_found_after_one_run(run, monkeypatch):
    trained = []

    def train(config, workdir):
        trained.append(workdir)
        validated(config, workdir, map_encoded=0.5)

    monkeypatch.setattr(training, "run", train)
    grid = {"grid": {"epochs": (1, 2)}, "seeds": 1}
    with pytest.raises(InputError, match=r"--by: 'map_lerned' given; .* which are map_encoded"):
        run(grid, choose_by="map_lerned")
    assert len(trained) == 1
    run(grid, only=["A"])
    # Row A is not wanted, and keeps its own metric.
    monkeypatch.setattr(training, "run", lambda *run: validated(*run, map_learned=0.5))
    done = run(grid, only=["B & C"], choose_by="map_learned")
    assert done.failed == 0
    assert "A, tiny, 8 bits: epochs=1 chosen by map_encoded" in done.markdown


def test_errors_are_kept_until_the_run_is_trained(run, made, monkeypatch, tmp_path):
    def fail(config, workdir):
        raise InputError("config.x: 1 given; allowed: 2.")

    monkeypatch.setattr(training, "run", fail)
    run(only=["A", "8 bits"])
    monkeypatch.setattr(training, "run", stub_run.train)
    # Another row is trained, and then none.
    done = run(only=["B & C"])
    assert done.failed == 0
    assert "failed: config.x: 1 given; allowed: 2." in done.markdown
    done = run(train=False)
    assert done.failed == 3
    assert "failed: config.x: 1 given; allowed: 2." in done.markdown
    kept = tmp_path / "out" / "failures.json"
    assert len(json.loads(kept.read_text())) == 3
    done = run()
    assert done.failed == 0
    assert "failed" not in done.markdown
    assert not kept.exists()
    # What others leave there is data.
    for bad in ("{", "[1]", '{"runs/a": 3}', "[" * 100_000):
        kept.write_text(bad)
        assert run(train=False).failed == 0


def test_runs_are_counted_once(run, table, stub):
    """Columns may share a run, and a row that draws nothing has one seed."""
    same = [
        dataclasses.replace(table.columns[0], name="again"),
        table.columns[0],
    ]
    rows = [dataclasses.replace(table.rows[0], seeds=1), *table.rows[1:]]
    done = run(fields={"columns": same, "rows": rows, "metrics": [Metric("encoded.map", "MAP")]})
    assert done.cells == len(stub) == 1 + 3


def test_runs_of_several_versions_or_machines_are_told_apart(run, monkeypatch, tmp_path):
    def train(config, workdir):
        device = {"platform": "cpu", "kind": "cpu", "count": 1, "machine": "m", "cores": 2}
        device["processor"] = f"CPU {config['seed'] % 2}"
        stub_run.train(config, workdir, git_revision="ab" * 20, device=device)

    monkeypatch.setattr(training, "run", train)
    done = run()
    assert "- The runs differ in their processor: CPU 0, CPU 1." in done.markdown
    assert "revision" not in done.markdown
    line = records(tmp_path)["A", "8 bits", "encoded.map"]
    assert (line["processors"], line["revisions"]) == ("CPU 0; CPU 1", "ab" * 20)


def test_numbers_that_look_alike_are_best_together(run, monkeypatch):
    def train(config, workdir):
        value = {1.0: 0.93392}.get(config["method"]["gamma2"], 0.93391)
        stub_run.train(config, workdir, encoded={"map": value})

    monkeypatch.setattr(training, "run", train)
    assert run({"seeds": 1}).markdown.count("**93.39**") == 4


def test_what_stands_in_for_the_papers_data_is_named(run, table, stub):
    stand_in = DataSet("CIFAR-10", "embedded", {"data.source": "lists"}, stand_in=table.data[0])
    metrics = [Metric("encoded.map", "MAP")]
    pairs = [("A", "B & C")]
    done = run(fields={"data": [stand_in], "metrics": metrics, "pairs": pairs})
    assert "- tiny in place of CIFAR-10, MAP: A less B & C, mean difference" in done.markdown


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, capsys, stub):
    def train(config, workdir):
        if len(stub) == 2:
            raise KeyboardInterrupt
        stub.append(workdir)
        stub_run.train(config, workdir)

    monkeypatch.setattr(training, "run", train)
    with pytest.raises(KeyboardInterrupt):
        run()
    line = "jhash: the sweep has stopped; 2 of 12 cells are done. The same command goes on"
    assert line in capsys.readouterr().err


def test_a_run_that_another_process_trains_is_waited_for(run, made, stub, monkeypatch):
    """And its results are taken."""
    cell = made().places[0].candidates[0].cells[0]
    locked, free = threading.Event(), threading.Event()

    def other():
        with workdirs.lock(cell.workdir):
            locked.set()
            free.wait(20)
            stub_run.train(cell.config, cell.workdir)

    thread = threading.Thread(target=other)
    thread.start()
    assert locked.wait(20)
    trained = training.run

    def train(config, workdir):
        trained(config, workdir)
        if len(stub) == 11:
            free.set()

    monkeypatch.setattr(training, "run", train)
    done = run()
    thread.join()
    assert done.failed == 0
    assert len(stub) == 11
    assert cell.workdir not in stub


# A process that makes up a run, from results that lie beside it.
CHILD = """
import json, os, signal, sys, time
order = json.loads(sys.stdin.readline())
if order["config"]["seed"] == 1 and sys.argv[2] == "fail":
    print("jhash: config.x: 1 given; allowed: 2.", file=sys.stderr)
    sys.exit(1)
if order["config"]["seed"] == 2 and sys.argv[2] == "fail":
    os.kill(os.getpid(), signal.SIGKILL)
os.makedirs(order["workdir"], exist_ok=True)
if sys.argv[2] == "wait":
    with open(order["workdir"] + "/.begun", "w") as file:
        file.write(str(os.getpid()))
    sys.stdin.read()
    time.sleep(60)
results = json.load(open(sys.argv[1]))
results["config"] = order["config"]
results["seed"] = order["config"]["seed"]
results["git_revision"] = os.environ.get("CUDA_VISIBLE_DEVICES")
path = order["workdir"] + "/results.json"
json.dump(results, open(path + ".new", "w"))
os.rename(path + ".new", path)
"""


@pytest.fixture
def child(made, tmp_path):
    """Returns the words that start the process, which ends in a certain way."""
    cell = made().places[0].candidates[0].cells[0]
    template = tmp_path / "template.json"
    template.write_text(json.dumps(stub_run.results(cell.config)))
    return lambda end: [sys.executable, "-S", "-c", CHILD, str(template), end]


def test_processes_have_a_device_each(run, child, monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(training, "_devices", lambda: ("gpu", 3))
    done = run(command=child("well"), workers=3)
    assert done.failed == 0
    devices = [
        json.loads(path.read_text())["git_revision"]
        for path in (tmp_path / "runs").glob("*/results.json")
    ]
    assert len(devices) == 12
    assert set(devices) == {"0", "1", "2"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert training.environments(3) == [
        {"CUDA_VISIBLE_DEVICES": name, "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.450"}
        for name in ("4", "7", "4")
    ]
    monkeypatch.setattr(training, "_devices", lambda: ("cpu", 8))
    assert training.environments(2) == [{}, {}]


def test_processes_that_fail_are_shown(run, child):
    done = run(command=child("fail"), workers=2)
    assert done.failed == 8
    assert "failed: config.x: 1 given; allowed: 2.; the process was ended by SIGKILL" in (
        done.markdown
    )


def test_ctrl_c_ends_the_processes(run, child, tmp_path):
    began = time.monotonic()

    def interrupt():
        while len(list((tmp_path / "runs").glob("*/.begun"))) < 2 and time.monotonic() < began + 30:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(command=child("wait"), workers=2)
    thread.join()
    assert time.monotonic() < began + 30
    assert not list((tmp_path / "runs").glob("*/results.json"))
    begun = list((tmp_path / "runs").glob("*/.begun"))
    assert len(begun) == 2
    for path in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
