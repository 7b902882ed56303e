"""The files in configs/tables/: each can be made, and has what its paper prints."""

import copy
import dataclasses
import functools
import importlib
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from jhash import retrieval
from jhash.commands import config_file
from jhash.sweeps import check, plan

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "configs" / "tables"
# The papers' tables and figures, and tables of ours on the embedded images.
TABLES = {
    "fdah": "table1 table2 figure2 figure3 figure4",
    "dah": "table2 table3 table4 table5 figure2 figure3 figure4 figure5 figure6 figure9 embedded",
    "aihn": "table1 table2 figure5 embedded readings bottleneck",
    "dstgeh": "table1 table2 figure3 figure4 figure5 ablations",
}
NAMES = [f"{paper}_{table}" for paper, tables in TABLES.items() for table in tables.split()]
NAMES += ["leaderboard", "without_labels"]


def get_table(name):
    return check(importlib.import_module(f"configs.tables.{name}").get_table())


def printed(name, key, data, row):
    """A row of the paper, in percent or in the unit of the metric."""
    table = get_table(name)
    (metric,) = [metric for metric in table.metrics if metric.key == key]
    (data,) = [one for one in table.data if one.name == data]
    numbers = table.paper(metric, data)
    return [float(numbers[row, column.name]) for column in table.columns]


def lead(one, other):
    return [round(a - b, 2) for a, b in zip(one, other, strict=True)]


def test_every_table_and_figure_has_a_file():
    assert sorted(NAMES) == sorted(
        path.stem
        for path in FOLDER.glob("*.py")
        if path.stem not in ("__init__", "common", *TABLES)
    )


def test_the_metrics_have_the_names_of_results():
    names = retrieval.summarize(
        np.full((2, 9), 1000),
        np.full((2, 9), 10),
        map_at=5000,
        map_at_percent=20.0,
        q_labels=np.arange(2),
    )
    lost = retrieval.count_lost_bits(np.ones((2, 3), bool))
    known = {"ones_to_zeros_mean", *names, *lost}
    for name in NAMES:
        for metric in get_table(name).metrics:
            kind, _, key = metric.key.partition(".")
            if kind in ("learned", "encoded"):
                assert key in known, (name, key)
            elif kind == "validation":
                assert key.removeprefix("metrics.").removesuffix("_encoded") in known, (name, key)
            else:
                # Of the log, and of `jhash.evaluate`.
                assert metric.key in (
                    "last_line.loss",
                    "last_line.bit_error_rate",
                    "train_seconds",
                    "encode_seconds_per_image",
                )


@functools.cache
def loaded(words):
    return config_file.load(words)


def load(words):
    return copy.deepcopy(loaded(words))


@pytest.mark.parametrize("name", NAMES)
def test_every_config_of_a_table_exists(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    table = get_table(name)
    assert f"configs/tables/{name}.py --quick" in (FOLDER / f"{name}.py").read_text()
    quick = plan.make(table, plan.Options(quick=True), load)
    assert [place.failure for place in quick.places if place.failure] == []
    cells = [place for place in quick.places if place.candidates]
    assert cells
    # Half an hour on two cores, at a bit more than a minute per run; the leaderboard takes an hour.
    most = 52 if name == "leaderboard" else 24
    assert len({cell.workdir for place in cells for cell in place.candidates[0].cells}) <= most
    for place in cells:
        assert place.candidates[0].cells[0].config["data"]["source"] in ("embedded", "scenes")
    # Smoke runs open nothing, so that the configs of every data set are built.
    tiny = plan.make(table, plan.Options(smoke=True, seeds=1), load)
    assert [place.failure for place in tiny.places if place.failure] == []
    stand_ins = [data.stand_in for data in table.data if data.stand_in]
    if stand_ins:
        others = dataclasses.replace(table, data=stand_ins)
        others = plan.make(others, plan.Options(smoke=True, seeds=1), load)
        assert [place.failure for place in others.places if place.failure] == []
        # Without the word it would be the paper's model, for a GPU.
        for place in others.places:
            if place.row.config == "configs/aihn.py" and place.data.name == "Fashion-MNIST":
                assert ",shallow," in place.candidates[0].cells[0].command
    for place in tiny.places:
        unfit = place.row.unfit.get(place.data.name)
        assert bool(place.candidates) != bool(place.row.missing or unfit)


@pytest.mark.parametrize("name", NAMES)
def test_rows_share_the_images_and_have_the_metrics(name, monkeypatch):
    """On the papers' own data sets, none of which are opened here, and on what stands in."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(plan, "_error_of_opening", lambda config: "")
    table = get_table(name)
    stand_ins = [data.stand_in for data in table.data if data.stand_in]
    for data_sets in filter(None, (table.data, stand_ins)):
        made = plan.make(dataclasses.replace(table, data=data_sets), plan.Options(seeds=1), load)
        for data in data_sets:
            places = [place for place in made.places if place.data is data and place.candidates]
            configs = [place.candidates[0].cells[0].config for place in places]
            images = {(config["data"]["source"], config["data"]["split"]) for config in configs}
            assert len(images) <= 1, (data.name, images)
            for metric in table.metrics:
                if metric.data is not None and data.name not in metric.data:
                    continue
                for config in configs:
                    if ".map_at_" in metric.key:
                        assert metric.key.endswith(f"_{config['metrics']['map_at']}")
                    if "map_top_20_percent" in metric.key:
                        assert config["metrics"]["map_at_percent"] == 20.0


def test_fdah_has_the_rows_of_its_paper():
    table = get_table("fdah_table1")
    rows = "LSH SH BRE ITQ SDH FSDH DPSH DSDH DDSH ADSH FDAH"
    ours = ["FDAH, frozen"]
    assert [row.name for row in table.rows if row.name not in ours] == rows.split()
    assert [column.x for column in table.columns] == [12, 24, 32, 48]
    # All 132 numbers, each in one of the two kinds of codes.
    places = [table.paper(metric, data) for metric in table.metrics for data in table.data]
    assert sum(map(len, places)) == 11 * 4 * 3
    # Table 2 repeats the rows of ADSH and FDAH.
    for row in ("ADSH", "FDAH"):
        assert printed("fdah_table2", "learned.map", "CIFAR-10", row) == printed(
            "fdah_table1", "learned.map", "CIFAR-10", row
        )
    # The text: only ADSH with 32 and 48 bits on NUS-WIDE is better.
    for data, better in (("Fashion-MNIST", []), ("CIFAR-10", []), ("NUS-WIDE", [2, 3])):
        ours = printed("fdah_table1", "learned.map", data, "FDAH")
        adsh = printed("fdah_table1", "learned.map", data, "ADSH")
        assert [n for n in range(4) if adsh[n] > ours[n]] == better


def test_dah_has_the_rows_of_its_paper():
    """Its text gives differences of the tables' numbers."""
    dah, plain, sdhp = (
        printed("dah_table2", "encoded.map", "CIFAR-10", row)
        for row in ("DAH", "NoneA-DAH", "SDHP*")
    )
    assert lead(dah, plain) == [0.43, 0.13, 0.32, 0.42]
    assert mean(lead(dah, sdhp)) == pytest.approx(6.1, abs=0.05)
    top, other = (
        printed("dah_table3", "encoded.precision_at_1000", "CIFAR-10", row)
        for row in ("DAH", "SDHP*")
    )
    assert lead(top, other) == [8.87, 4.72, 4.29, 4.04]
    none = printed("dah_table3", "encoded.precision_at_1000", "CIFAR-10", "NoneA-DAH")
    assert [a > b for a, b in zip(top, none, strict=True)] == [True, False, True, True]
    assert round(none[1] - top[1], 2) == 0.07
    assert [len(get_table(f"dah_table{n}").rows) for n in (2, 3, 4, 5)] == [15, 10, 10, 2]


def test_aihn_has_the_rows_of_its_paper():
    """Its text gives differences of the tables' numbers."""
    aihn, without, alexnet = (
        printed("aihn_table2", "encoded.map", "CIFAR-10", row)
        for row in ("AIHN", "AIHN-A", "AIHN-AI")
    )
    assert lead(aihn, without) == [0.75, 1.48, 0.03, 1.77]
    assert lead(without, alexnet) == [10.58, 8.69, 10.71, 9.0]
    for key, data, itq_cca, hashnet in (
        ("encoded.map", "CIFAR-10", 33.45, 10.21),
        ("encoded.map_at_5000", "NUS-WIDE81", 48.1, 7.9),
    ):
        ours, itq, net = (
            mean(printed("aihn_table1", key, data, row)) for row in ("AIHN", "ITQ-CCA", "HashNet")
        )
        assert ours - itq == pytest.approx(itq_cca, abs=0.11)
        assert ours - net == pytest.approx(hashnet, abs=0.01)
    assert printed("aihn_table1", "encoded.map", "CIFAR-10", "AIHN") == aihn
    assert len(get_table("aihn_table1").rows) == 10


def test_dstgeh_has_the_rows_of_its_paper():
    """Its text gives differences of F1."""

    def f1(data, row):
        return printed("dstgeh_table2", "encoded.f1", data, row)[0]

    cifar, coco = "CIFAR-10", "MS-COCO"
    rows = ("Word2Vec (BCEL)", "SDNE (BCEL)", "SDNE+SAE (BCEL)")
    assert lead([f1(cifar, row) for row in rows[1:]], [f1(cifar, row) for row in rows[:2]]) == [
        2.27,
        1.23,
    ]
    assert lead([f1(coco, row) for row in rows[1:]], [f1(coco, row) for row in rows[:2]]) == [
        0.04,
        2.23,
    ]
    for row, drop in (("SDNE+SAE (MLML)", 9.07), ("SDNE+SAE (MLSML)", 18.87)):
        drops = [f1(data, "SDNE+SAE (BCEL)") - f1(data, row) for data in (cifar, coco)]
        assert mean(drops) == pytest.approx(drop, abs=0.01)
    # "Cosine distance brings higher mAP in most cases": in all but one.
    for data, better in ((cifar, 6), (coco, 5)):
        key = "encoded.per_category_map_top_20_percent"
        cosine, euclidean = (
            printed("dstgeh_table1", key, data, row) for row in ("Cosine", "Euclidean")
        )
        assert sum(a > b for a, b in zip(cosine, euclidean, strict=True)) == better
