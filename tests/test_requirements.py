"""The pinned packages: complete, with hashes, as pyproject.toml allows, and those of the SBOM."""

import importlib.metadata
import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-cpu.txt")
PIN = re.compile(r"([a-z0-9-]+)==([^ ;]+)(?: ; (sys_platform == 'linux'))? \\")


def pins(file):
    """Version and SHA-256 hashes of each package; any line that is not understood fails."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        if pin := PIN.fullmatch(line):
            name = pin[1]
            assert name not in found
            found[name] = pin[2], []
        elif digest := re.fullmatch(r"    --hash=sha256:([0-9a-f]{64})( \\)?", line):
            found[name][1].append(digest[1])
        else:
            assert re.match(r" *# ", line), line
    return found


@pytest.fixture(scope="module")
def locked():
    return pins("requirements-cpu.txt")


@pytest.mark.parametrize("file", FILES)
def test_every_package_has_hashes(file):
    found = pins(file)
    assert len(found) > 10
    for name, (_, hashes) in found.items():
        assert hashes, name
        assert len(set(hashes)) == len(hashes)
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert "/tmp" not in text


def test_pyproject_allows_the_pins(locked):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"] + project["optional-dependencies"]["features"]:
        needed = Requirement(line)
        version, _ = locked[canonicalize_name(needed.name)]
        assert needed.specifier.contains(version), line


def test_what_pinned_packages_need_is_pinned(locked):
    """By the metadata of those that are installed here in the pinned version."""
    looked_at = 0
    for name, (version, _) in locked.items():
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if package.version != version:
            continue
        looked_at += 1
        for line in package.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in locked, f"{name} needs {line}"
    assert looked_at


def test_requirements_has_cuda_besides(locked):
    everything = pins("requirements.txt")
    assert everything.items() >= locked.items()
    cuda = everything.keys() - locked.keys()
    assert cuda
    assert all(name.startswith(("jax-cuda12", "nvidia-")) for name in cuda)
    assert everything["jax-cuda12-plugin"][0] == everything["jax-cuda12-pjrt"][0]
    assert everything["jax-cuda12-plugin"][0] == locked["jax"][0]


def test_the_bill_of_materials_lists_the_pinned_packages(locked):
    text = (ROOT / "docs" / "release" / "sbom.cdx.json").read_text()
    bill = json.loads(text)
    found = {}
    for entry in bill["components"]:
        [files] = entry["externalReferences"]
        hashes = [digest["content"] for digest in files["hashes"]]
        found[entry["name"]] = entry["version"], hashes
        assert entry["purl"] == entry["bom-ref"] == f"pkg:pypi/{entry['name']}@{entry['version']}"
        assert all(license.get("expression") or license["license"] for license in entry["licenses"])
        assert entry["licenses"], entry["name"]
    assert {name: (version, sorted(hashes)) for name, (version, hashes) in found.items()} == {
        name: (version, sorted(hashes)) for name, (version, hashes) in locked.items()
    }
    references = {entry["bom-ref"] for entry in bill["components"]}
    jhash = bill["metadata"]["component"]["bom-ref"]
    needs = {entry["ref"]: set(entry["dependsOn"]) for entry in bill["dependencies"]}
    assert needs.keys() == references | {jhash}
    # Everything is needed by jhash or by something that it needs.
    reached, new = {jhash}, needs[jhash]
    while new:
        reached |= new
        new = set().union(*(needs[reference] for reference in new)) - reached
    assert reached == references | {jhash}
    assert not {"serialNumber", "timestamp"} & (bill.keys() | bill["metadata"].keys())
    assert text.count("://") == 1  # That of the schema.
