"""Runs, encoders and indexes of somebody else, which must not choose what code runs."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import flax.serialization
import pytest

from jhash import evaluate
from jhash.errors import InputError
from tests.support import quick

ROOT = Path(__file__).resolve().parents[2]
NET = """
from jhash.models.small_cnn import SmallCNN as Net
open("hostile code ran", "w").close()
"""


@pytest.fixture
def foreign(run, tmp_path, monkeypatch):
    """A copy of a run with a module beside its files, in the current folder."""
    foreign = tmp_path / "foreign"
    shutil.copytree(run, foreign)
    (foreign / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return foreign


def set_fields(path, **fields):
    """Changes fields of a JSON file that are named by their paths, with __ for dots."""
    content = json.loads(path.read_text())
    for name, value in fields.items():
        *parents, last = name.split("__")
        holder = content
        for parent in parents:
            holder = holder[parent]
        holder[last] = value
    path.write_text(json.dumps(content))


def set_model(run, name):
    """Writes another name of the model into `encoder.bin`, with the checksum that fits."""
    path = run / "encoder.bin"
    content = flax.serialization.msgpack_restore(path.read_bytes()[32:])
    content["config"]["model"]["name"] = name
    packed = flax.serialization.msgpack_serialize(content)
    path.write_bytes(hashlib.sha256(packed).digest() + packed)


def test_a_run_names_no_command_as_its_source(foreign, jhash):
    command = {"command": "touch ran"}
    fields = {"data__source": "os.system", "data__options": command}
    set_fields(foreign / "config.json", **fields)
    with pytest.raises(InputError, match=r"config\.data\.source: module 'os' given in a file"):
        evaluate.evaluate_workdir(str(foreign))
    results = foreign / "results.json"
    set_fields(results, config__data__source="os.system", config__data__options=command)
    status, _, err = jhash("report", foreign)
    assert status == 0
    assert "jhash: No images of foreign: " in err
    assert "module 'os' given in a file that is opened" in err
    assert not os.path.exists("ran")


def test_an_encoder_runs_no_module_of_the_current_folder(foreign, jhash, photos, index):
    set_model(foreign, "foreign.net.Net")
    encode = ("encode", "--run", foreign, "--images", photos, "--output", "codes.npz")
    status, _, err = jhash(*encode)
    assert status == 1
    assert "encoder.bin: config.model.name: module 'foreign.net' given in a file" in err
    assert "--trust-modules=foreign.net" in err
    status, _, err = jhash(
        "search", "--index", index, "--image", photos / "0.png", "--run", foreign
    )
    assert status == 1
    assert "'foreign.net' given in a file" in err
    assert not os.path.exists("hostile code ran")
    status, _, err = jhash(*encode, "--trust-modules", "foreign.net")
    assert (status, err) == (0, "")
    assert os.path.exists("hostile code ran")


@pytest.mark.parametrize("hook", ["method", "loss", "split"])
def test_no_other_name_of_a_run_leads_out_of_jhash(foreign, hook):
    field = {"method": "method__name", "loss": "loss", "split": "data__split"}[hook]
    set_fields(foreign / "config.json", **{field: "foreign.net.Net"})
    with pytest.raises(InputError, match=r"config\..* 'foreign\.net.* given in a file"):
        evaluate.evaluate_workdir(str(foreign), ["tests"])
    assert not os.path.exists("hostile code ran")


def test_a_package_in_the_current_folder_takes_no_place(foreign):
    for name in ("numpy", "argparse", "tqdm", "gensim", "tensorflow"):
        Path(f"{name}.py").write_text("raise SystemExit('hostile code ran')")
    done = subprocess.run(
        [sys.executable, "-m", "jhash", "report", foreign],
        env=os.environ | quick.ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "hostile" not in done.stderr
