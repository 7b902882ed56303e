"""Config files and overrides of the command line: what is wrong is named in one line."""

import ml_collections
import pytest

from configs import fdah
from jhash.commands import config_file, overrides
from jhash.errors import InputError

SMOKE = "from configs import fdah\n\n\ndef get_config(argument=None):\n    "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n", r"^--config: own\.py given, which has no function get_config; allowed: a Py"),
        ("x: 1\ny:\n  - 2\n", r"^own\.py, line 2: SyntaxError: .*; allowed: Python code\.$"),
        ("x = '\0'\n", r"^own\.py.*: (SyntaxError|ValueError): source code"),
        ("def get_config(): pass\n", "whose get_config returned a NoneType; allowed: an ml_coll"),
        ("def get_config(): return {}\n", "whose get_config returned a dict; allowed: an ml_"),
        ("def get_config(a, b): pass\n", "own.py given; allowed: what the file's get_config tak"),
        ("\nimport nothing_here\n", r"^own\.py, line 2: ModuleNotFoundError: No module named"),
        (SMOKE + "return nothing\n", r"^own\.py, line 5: NameError: name 'nothing' is not def"),
        (SMOKE + "return fdah.get_config(5)\n", r"^own\.py, line 5 \(raised in .*common\.py, li"),
        (SMOKE + "return fdah.get_config('bit=8')\n", r"^--config: 'bit=8' given; allowed: "),
        (SMOKE + "return open('none')\n", r"^own\.py, line 5: FileNotFoundError: .*'none'"),
        (
            SMOKE + "c = fdah.get_config()\n    c.f = len\n    return c\n",
            r"^config\.f: <built-in function len> of type builtin_function_or_method given",
        ),
    ],
)
def test_an_error_in_a_file_has_its_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        config_file.load("own.py")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "none given; allowed: a file, such as"),
        (":bits=8", "none given; allowed: a file, such as"),
        ("none.py", "none.py given; allowed: a file, and there is none of that name"),
        (".", ". given, which is a folder; allowed: a Python file"),
        ("/dev/null", "/dev/null given, which is no regular file; allowed: a Python file"),
    ],
)
def test_what_is_no_file_is_named(argument, message):
    with pytest.raises(InputError, match=f"^--config: {message}"):
        config_file.load(argument)


def test_configs_of_the_package_are_found_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_file.load("configs/fdah.py:bits=12")
    assert config.to_dict() == fdah.get_config("bits=12").to_dict()
    names = ("get_table", "get_config")
    assert config_file.first_of("configs/tables/fdah_table1.py", names) == "get_table"
    assert config_file.first_of("configs/fdah.py", names) == "get_config"
    assert config_file.first_of("configs/tables/none.py", names) is None
    # A file here goes first.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "fdah.py").write_text(SMOKE + "return fdah.get_config('bits=99')\n")
    assert config_file.load("configs/fdah.py").bits == 99


def test_a_config_is_locked_and_a_frozen_one_can_be_overridden(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from configs import fdah\nfrom ml_collections import FrozenConfigDict\n\n\n"
        "def get_config(argument='bits=8'):\n"
        "    return FrozenConfigDict(fdah.get_config(argument))\n"
    )
    config = config_file.load(f"{path}:bits=12")
    assert config.is_locked
    assert config_file.load(str(path)).bits == 8
    config.bits = 16
    assert config.to_dict() == fdah.get_config("bits=16").to_dict()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--config.bit=8", "--config.bit: field 'bit' given; allowed: .* Did you mean bits"),
        ("-config.bits.x", "--config.bits.x: field 'x' given; allowed: .* which has none"),
        ("--noconfig.augment.flp", "--config.augment.flp: field 'flp' given; .* mean flip"),
        ("--config.=8", "--config.: field '' given"),
        ("--config.metrics.precision_ranks[0]=8", ".*: field 'precision_ranks\\[0\\]' given"),
    ],
)
def test_overrides_of_unknown_fields_are_named(word, message):
    with pytest.raises(InputError, match=f"^{message}"):
        overrides.refuse_unknown(fdah.get_config(), ["launch.py", "--config=x.py", word])


def test_overrides_of_known_fields_pass():
    words = ["launch.py", "--config.bits=8", "--config.image", "{}", "--noconfig.augment.flip"]
    overrides.refuse_unknown(fdah.get_config(), words)


def test_an_evaluation_takes_metrics_and_mirror_alone():
    words = ["launch.py", "--mode=eval", "--config.metrics.map_at=50", "--workdir=run"]
    words += ["--config.metrics.precision_ranks", "(5, 10)", "--config.metrics.map_at_percent=2.5"]
    left, taken = overrides.take_open(words)
    assert left == ["launch.py", "--mode=eval", "--workdir=run"]
    wanted = {"map_at": 50, "precision_ranks": (5, 10), "map_at_percent": 2.5}
    assert overrides.of_evaluation(taken) == {"metrics": wanted, "mirror": None}
    _, taken = overrides.take_open(["--config.metrics.precision_ranks=7"])
    assert overrides.of_evaluation(taken)["metrics"] == {"precision_ranks": (7,)}
    left, taken = overrides.take_open(["--workdir=run", "--config.image.mirror=True"])
    assert left == ["--workdir=run"]
    assert overrides.of_evaluation(taken) == {"metrics": {}, "mirror": True}
    # With a config they are flags like others, and a tuple is a text for a data source.
    words = ["--config=x.py", "--config.metrics.map_at=50", "--config.data.options.x=(1, 2)"]
    left, taken = overrides.take_open(words)
    assert left == words[:2]
    assert taken == {"data.options": {"x": "(1, 2)"}}
    with pytest.raises(InputError, match=r"^--config\.data\.options\.x: given without --config"):
        overrides.of_evaluation(taken)


def test_patterns_of_parameters_are_names_of_their_own():
    words = ["--config=x.py", "--config.optimizer.rates.Conv_*=0", "--config.bits=8"]
    words += ["--config.optimizer.rates.model/Dense_1/kernel", "10.5"]
    left, taken = overrides.take_open(words)
    assert left == ["--config=x.py", "--config.bits=8"]
    config = fdah.get_config()
    config.lock()
    overrides.apply_open(config, taken)
    assert config.optimizer.rates.to_dict() == {"Conv_*": 0, "model/Dense_1/kernel": 10.5}


def test_overrides_of_a_group_that_is_missing_are_named():
    config = ml_collections.ConfigDict({"data": {"options": 5}})
    for field in ("data.options", "optimizer.arguments"):
        with pytest.raises(InputError, match=rf"^config\.{field}: .* given; allowed: a group of"):
            overrides.apply_open(config, {field: {"x": 1}})
