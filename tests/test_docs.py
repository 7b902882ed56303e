"""The pages keep their promises: the table of methods is the folder's, links lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from jhash.commands import config_file, overrides
from jhash.runs import workdirs

ROOT = Path(__file__).resolve().parent.parent
REPRODUCE = sorted((ROOT / "docs" / "reproduce").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *REPRODUCE,
    *sorted((ROOT / "docs" / "results").glob("*.md")),
]
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
