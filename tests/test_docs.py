"""The pages keep their promises: the table of methods is the folder's, links lead somewhere."""

import ast
import itertools
import re
import shlex
from pathlib import Path

import pytest

from jhash.commands import config_file, main, overrides
from jhash.commands import sweep as sweep_command
from jhash.errors import InputError
from jhash.runs import workdirs
from jhash.sweeps import plan, sweep

ROOT = Path(__file__).resolve().parent.parent
REPRODUCE = sorted((ROOT / "docs" / "reproduce").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *REPRODUCE,
    *sorted((ROOT / "docs" / "results").glob("*.md")),
]
TABLES = ROOT / "configs" / "tables"
# The two commands that the README must print in one line each.
COMMAND = "python3 -m venv .venv && . .venv/bin/activate && pip install -e "
# [text](target), and images; the text may go on on the next line.
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def read(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text())


def anchors(page):
    """Names of a page's headings, as GitHub and the docs site make them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(read(page)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def relative_links(page):
    return [target for target in LINK.findall(read(page)) if "://" not in target]


def test_the_table_of_methods_is_the_folders():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "methods.md").read_text(), re.MULTILINE)
    modules = [
        path.stem
        for folder in ("deep", "shallow", "embeddings")
        for path in (ROOT / "jhash" / "methods" / folder).glob("*.py")
        if not path.stem.startswith("_")
    ]
    assert sorted(rows) == sorted(modules)


def test_the_front_page_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    commands = [line for line in lines if line.startswith(COMMAND)]
    assert len(commands) == 2
    assert [line for line in lines if len(line) > 100 and line not in commands] == []


def test_links_are_seen():
    assert relative_links(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    for target in relative_links(page):
        path, _, anchor = target.partition("#")
        destination = page.parent / path if path else page
        assert destination.exists(), target
        if anchor:
            assert anchor in anchors(destination), target


def commands(page):
    """The commands of a page that train, as lists of words."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"^ *python launch\.py (--config=.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def literal(value):
    try:
        return ast.literal_eval(value)
    except ValueError:
        return value


@pytest.mark.parametrize("page", REPRODUCE, ids=lambda page: page.stem)
def test_every_row_has_a_command_that_makes_a_config(page):
    """Its words and overrides are those of the config; nothing is trained."""
    assert commands(page)
    for argument, *words in commands(page):
        config = config_file.load(str(ROOT / argument.removeprefix("--config=")))
        left, taken = overrides.take_open(["--config", *words])
        overrides.refuse_unknown(config, left)
        overrides.apply_open(config, taken)
        fields = [re.fullmatch(r"--config\.([^=]+)=(.*)", word).groups() for word in left[1:]]
        config.update_from_flattened_dict({name: literal(value) for name, value in fields})
        workdirs.check("none", config)


def test_every_script_of_the_reproduced_tables_exists():
    for page in REPRODUCE:
        for script in re.findall(r"python (benchmarks/\S+)", page.read_text()):
            assert (ROOT / script).exists(), script


def sweeps(page):
    """The sweeps of a page, as lists of words behind `python -m jhash`."""
    text = page.read_text().replace("\\\n", " ")
    lines = re.findall(r"python -m jhash (sweep configs/.*?)`?$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines if "my_config" not in line]


@pytest.mark.parametrize("page", [*PAGES, TABLES], ids=lambda page: str(page.relative_to(ROOT)))
def test_sweeps_name_what_their_tables_have(page, monkeypatch):
    """Rows, columns and data sets of `--only`, and fields of `--grid`; nothing is trained."""
    monkeypatch.chdir(ROOT)
    files = page.glob("*.py") if page.is_dir() else [page]
    found = [words for file in files for words in sweeps(file)]
    assert found or (page not in REPRODUCE and not page.is_dir())
    for words in found:
        options = main._parser().parse_args(words)
        table = sweep_command._table(options)
        wanted = sweep._Wanted(table, options.only)
        places = itertools.product(table.rows, table.data, table.columns)
        assert any(wanted(plan.Place(*place)) for place in places)
        rows = [row for row in table.rows if row.config]
        for field, values in options.grid:
            configs = [config_file.load(f"{row.config}:{row.argument}") for row in rows]
            for value in values:
                assert any(takes(config, field, value) for config in configs), (words, field, value)


def takes(config, field, value):
    try:
        plan.override(config, field, value)
    except InputError:
        return False
    return True
