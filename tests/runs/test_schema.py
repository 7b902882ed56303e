"""The schema of results.json and metrics.jsonl: an error names the run and the field."""

import json

import pytest

from jhash.errors import InputError
from jhash.runs import finished, schema, workdirs
from tests.support.report import RECONSTRUCTION, broken


def edit(name, value):
    """An edit of results.json: sets a field, or removes it where the value is `...`."""

    def apply(old):
        results = json.loads(old)
        *parents, last = name.split(".")
        fields = results
        for parent in parents:
            fields = fields[parent]
        if value is ...:
            del fields[last]
        else:
            fields[last] = value
        return json.dumps(results).encode()

    return apply


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learned", {}, r"learned\.map: nothing given; allowed: a finite number"),
        ("learned", None, "learned: None given; allowed: an object"),
        ("encoded.map", float("nan"), r"encoded\.map: nan given; allowed: a finite number"),
        ("config", [], r"config: \[\] given; allowed: an object"),
        ("config.metrics", ..., r"config\.metrics: nothing given; allowed: an object"),
        ("config.metrics.no_such", 1, r"config\.metrics: no_such given; allowed: map_at, "),
        (
            "config.metrics.precision_ranks",
            5,
            r"config\.metrics\.precision_ranks: 5 given; allowed: a list",
        ),
        (
            "config.metrics.precision_ranks",
            [10, 0],
            r"config\.metrics\.precision_ranks: \[10, 0\] given",
        ),
        ("config.metrics.lookup_radius", "2", r"lookup_radius: '2' given"),
        ("config.metrics.map_at_percent", 200, r"map_at_percent: 200 given; allowed: more than 0"),
        ("config.data", None, r"config\.data: None given"),
        ("config.data.seed", ..., r"config\.data\.seed: nothing given; allowed: a finite number"),
        ("device", None, "device: None given; allowed: an object"),
        ("device.kind", ..., r"device\.kind: nothing given; allowed: text"),
        ("device.processor", 5, r"device\.processor: 5 given; allowed: text"),
        ("device.cores", 0, r"device\.cores: 0 given; allowed: a whole number, 1 or more"),
        ("device.cores", ..., r"device\.cores: nothing given; allowed: a whole number"),
        ("data", {}, r"data\.source: nothing given; allowed: text"),
        ("data.train", "many", r"data\.train: 'many' given; allowed: a whole number"),
        ("epochs", -1, "epochs: -1 given; allowed: a whole number, 0 or more"),
        ("epochs", True, "epochs: True given"),
        ("bits", 600, "bits: 600 given; allowed: 1 to 512"),
        ("train_seconds", None, "train_seconds: None given"),
        ("git_revision", 5, "git_revision: 5 given; allowed: text, or null"),
        ("reconstruction", None, "reconstruction: None given; allowed: an object"),
        ("reconstruction", {}, r"reconstruction\.images: nothing given; allowed: a whole number"),
        (
            "reconstruction",
            RECONSTRUCTION | {"largest_difference": float("nan")},
            r"reconstruction\.largest_difference: nan given; allowed: a finite number, or null",
        ),
        ("versions", "x" * 99, "versions: 'xxx.*x[.]{3} given; allowed: an object"),
    ],
)
def test_bad_results_name_run_and_field(trained, tmp_path, name, value, message):
    run = broken(trained, tmp_path, "results.json", edit(name, value))
    with pytest.raises(InputError, match=rf"^workdirs: .*broken.*{message}"):
        finished.read_all([str(run)])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"epoch": 1, "loss": 2.0}', r"step: nothing given; allowed: a whole number, 0 or more"),
        (b'{"step": 1, "loss": 2.0}', r"epoch: nothing given; allowed: a whole number, 0 or more"),
        (b'{"step": "1", "epoch": 1}', "step: '1' given; allowed: a whole number"),
        (b'{"step": 1, "epoch": 1, "a.b": "text"}', r"a\.b: 'text' given; allowed: a finite"),
        (b'{"step": 1, "epoch": 1, "loss": NaN}', "loss: nan given"),
        (b'{"step": 1, "epoch": 1, "loss": null}', "loss: None given"),
        (b"[1, 2]", r": \[1, 2\] given; allowed: an object"),
        (b"7", ": 7 given; allowed: an object"),
        (b"[" * 100_000, "the file is damaged; it is not JSON: it is nested too deeply"),
        (b'{"step": ' + b"9" * 5000 + b"}", "it is not JSON: Exceeds the limit"),
        (b'{"step": 1, "epoch": 1, "' + b"x" * 9999 + b'": null}', r"x\.\.\.: None given"),
    ],
)
def test_bad_metrics_name_the_line_and_the_field(trained, tmp_path, line, message):
    def insert(old):
        first, rest = old.split(b"\n", 1)
        return b"\n".join([first, line, rest])

    run = broken(trained, tmp_path, "metrics.jsonl", insert)
    with pytest.raises(InputError, match=rf"broken/metrics\.jsonl, line 2.*{message}"):
        finished.read_all([str(run)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "cannot be read: it is nested too deeply"),
        (b'{"bits": ' + b"9" * 5000 + b"}", "cannot be read: Exceeds the limit"),
        (b"\xff", "cannot be read: 'utf-8' codec"),
        (b'{"method": ' + b"[" * 400 + b"]" * 400 + b"}", r"method: \[.* given; allowed: text"),
        (b'{"method": "' + b"x" * 100_000, "cannot be read: Unterminated string"),
    ],
)
def test_results_that_python_cannot_read(tmp_path, content, message):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path}/results\.json: .*{message}") as error:
        schema.read_results(str(tmp_path))
    assert len(str(error.value)) < len(str(tmp_path)) + 200


@pytest.mark.parametrize(
    "content",
    [
        b'{"__class__": 1}',
        b'{"a.b": 1}',
        b'{"a": [{}]}',
        b"[" * 10**5,
    ],
)
def test_a_config_that_cannot_be_one(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: the file is damaged; it"):
        workdirs.load(str(tmp_path))
