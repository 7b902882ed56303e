"""The folder is written whole or not at all, and over nothing that an export has not written."""

import json
import os

import pytest
import yaml

from jhash import publishing
from jhash.errors import InputError
from jhash.publishing import card, forward
from jhash.runs import finished
from tests.support.report import copy_run

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def quickly(monkeypatch):
    """Nothing is lowered."""
    made = forward.Forward(b"lowered", None, ("cpu",))
    monkeypatch.setattr(forward, "lower", lambda encoder: made)


def test_what_is_in_the_folder(trained, given_away):
    assert sorted(os.listdir(given_away)) == [
        *("README.md", "codes", "config.json", "encoder.bin", "forward.jax")
    ]
    assert (given_away / "encoder.bin").read_bytes() == (trained / "encoder.bin").read_bytes()
    config = json.loads((given_away / "config.json").read_text())
    assert config["forward"]["batch"] == "any"
    assert config["forward"]["platforms"] == ["cpu", "cuda", "rocm", "tpu"]
    assert os.stat(given_away).st_mode & 0o777 == 0o755
    for path in given_away.rglob("*"):
        if path.is_file():
            assert str(trained).encode() not in path.read_bytes()


def test_the_card_has_what_hubs_and_people_read(trained, given_away):
    results = json.loads((trained / "results.json").read_text())
    _, head, body = (given_away / "README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(head)
    assert (fields["license"], fields["library_name"]) == ("unknown", "jhash")
    assert {"jhash", "image-retrieval", "fdah"} <= set(fields["tags"])
    [entry] = fields["model-index"]
    [result] = entry["results"]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    for kind in ("learned", "encoded"):
        assert values[f"map, database codes {kind}"] == results[kind]["map"]
    assert f"| `map` | {results['map_learned']:.4f} | {results['map_encoded']:.4f} |" in body
    for words in (
        "FDAH: fast deep asymmetric hashing",
        "does not know its license",
        "expectation over random orders",
        "gray images of 8 x 8 pixels",
        "uint8, 0 to 255, [B, 8, 8, 1]",
        "no validation images",
        results["git_revision"] or "unknown",
        'jhash.load("FOLDER")',
    ):
        assert words in body, words


@pytest.mark.usefixtures("quickly")
def test_names_of_others_cannot_write_into_the_card(trained, tmp_path):
    name = 'x`|<b>\n---\nlicense: mit\n"'
    run = copy_run(trained, tmp_path / "run", method=name)
    publishing.export(
        str(run), str(tmp_path / "model"), model_license='a"\nb', data_license="CC0 |"
    )
    text = (tmp_path / "model" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["license"] == 'a"\\nb'
    assert fields["tags"][-1] == name.replace("\n", "\\n")
    assert "<b>" not in body
    assert "as told by the author: CC0 \\|" in body
    assert not (tmp_path / "model" / "codes").exists()


def test_without_labels_the_card_has_what_results_have(trained, tmp_path):
    [run] = finished.read_all([str(trained)])
    for kind in ("learned", "encoded"):
        run.results[kind] = {"distinct_codes": 1234, "kept": 0.5}
    text = card._metrics(run)
    assert "| `distinct_codes` | 1,234 | 1,234 |\n| `kept` | 0.5000 | 0.5000 |" in text
    assert "no labels" in text
    assert "MAP" not in text


@pytest.mark.usefixtures("quickly")
def test_only_a_folder_of_an_export_is_replaced(trained, tmp_path):
    output = tmp_path / "model"
    output.mkdir()
    publishing.export(str(trained), str(output))  # An empty folder holds nothing to lose.
    with pytest.raises(InputError, match=r"output: .* given, which is there; allowed: a new"):
        publishing.export(str(trained), str(output))
    for name in (".git", "mine.txt"):
        (output / name).write_text("")
    with pytest.raises(InputError, match=r"where \.git, mine\.txt would be lost, which no export"):
        publishing.export(str(trained), str(output), overwrite=True, codes=True)
    for name in (".git", "mine.txt"):
        (output / name).unlink()
    publishing.export(str(trained), str(output), overwrite=True, codes=True)
    assert (output / "codes" / "database.npz").exists()
    with pytest.raises(InputError, match="which no export has written"):
        publishing.export(str(trained), str(trained), overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="which is no folder"):
        publishing.export(str(trained), str(tmp_path / "file"), overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "model"]


@pytest.mark.usefixtures("quickly")
def test_a_failure_leaves_the_old_folder_and_nothing_else(trained, tmp_path, monkeypatch):
    output = tmp_path / "model"
    publishing.export(str(trained), str(output))
    before = (output / "README.md").read_bytes()

    def fail(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(card, "write", fail)
        for folder in (output, tmp_path / "new"):
            with pytest.raises(KeyboardInterrupt):
                publishing.export(str(trained), str(folder), overwrite=True)
    rename = os.rename

    def fail_to_replace(old, new):
        if new == str(output) and os.path.basename(old) != "model":
            raise OSError("no")
        rename(old, new)

    monkeypatch.setattr(os, "rename", fail_to_replace)
    with pytest.raises(OSError, match="no"):
        publishing.export(str(trained), str(output), overwrite=True)
    assert os.listdir(tmp_path) == ["model"]
    assert (output / "README.md").read_bytes() == before


@pytest.mark.usefixtures("quickly")
def test_codes_of_another_evaluation_are_refused(trained, tmp_path):
    other = {"network": "0" * 64}
    codes = {path.stem: other for path in (trained / "codes").glob("*.npz")}
    run = copy_run(trained, tmp_path / "run", codes, **other)
    with pytest.raises(InputError, match=r"workdir: .* given, whose codes are of another model"):
        publishing.export(str(run), str(tmp_path / "model"))
    with pytest.raises(InputError, match="holds no finished run"):
        publishing.export(str(tmp_path / "none"), str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["run"]
