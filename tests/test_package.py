"""What an installed jhash consists of."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_configs_are_installed_beside_jhash():
    """By the very function with which setuptools finds the packages of a wheel."""
    setuptools = pytest.importorskip("setuptools")
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = set(setuptools.find_namespace_packages(str(ROOT), **options["packages"]["find"]))
    wanted = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("jhash", "configs")
        for path in (ROOT / name).rglob("*.py")
    }
    assert {"configs", "configs.baselines", "jhash.methods.deep"} <= wanted
    assert wanted <= found
    assert {name.split(".")[0] for name in found} == {"jhash", "configs"}


def test_the_files_of_the_page_are_installed():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = options["package-data"]["jhash"]
    files = [path for path in (ROOT / "jhash" / "serve").rglob("*.*") if path.suffix != ".py"]
    files = [path.relative_to(ROOT / "jhash") for path in files if path.suffix != ".pyc"]
    assert len(files) >= 9
    assert [path for path in files if not any(map(path.match, patterns))] == []
