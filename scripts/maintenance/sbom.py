"""`make sbom` lists what is in an image: Debian's packages, Python's, and their licences, as CycloneDX on stdout.

python -m scripts.maintenance.sbom cosmicai-lambda:slim > out/sbom/lambda-slim.json
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

PYTHON_PACKAGES = """
import importlib.metadata, json
print(json.dumps([str(found.read_text("METADATA")) for found in importlib.metadata.distributions()]))
"""
DEBIAN_FIELDS = r"${Package}\t${Version}\t${Architecture}\n"


def main(image: str) -> int:
    found = json.loads(_output("docker", "image", "inspect", image))[0]
    debian = _inside(image, "dpkg-query", "--show", f"--showformat={DEBIAN_FIELDS}")
    python = json.loads(_inside(image, "python", "-c", PYTHON_PACKAGES))
    components = [*debian_components(debian), *python_components(python)]
    print(json.dumps(document(image, found["Id"], components), indent=1))
    print(f"{image}: {len(components)} components", file=sys.stderr)
    return 0


def document(image: str, digest: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    subject = {"type": "container", "name": image, "version": digest, "bom-ref": digest}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": sorted(components, key=lambda component: str(component["purl"])),
    }


def debian_components(listed: str) -> Iterator[dict[str, Any]]:
    """Makes the components out of dpkg-query's lines of package, version and architecture."""
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        yield {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def python_components(texts: list[str]) -> Iterator[dict[str, Any]]:
    """Makes the components out of the METADATA files of installed distributions."""
    for text in texts:
        metadata = HeaderParser().parsestr(text)
        name, version = str(metadata["Name"]), str(metadata["Version"])
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}"
        component = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
        yield component | ({"licenses": licences} if (licences := list(_licences(metadata))) else {})


def _licences(metadata: Message) -> Iterator[dict[str, Any]]:
    """An SPDX expression where there is one, otherwise the classifiers, which are less exact."""
    if expression := metadata["License-Expression"]:
        yield {"expression": expression}
        return
    for classifier in metadata.get_all("Classifier", []):
        if classifier.startswith("License ::"):
            yield {"license": {"name": classifier.rpartition(" :: ")[2]}}


def _inside(image: str, *command: str) -> str:
    return _output("docker", "run", "--rm", "--network=none", f"--entrypoint={command[0]}", image, *command[1:])


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parent).stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.maintenance.sbom IMAGE")
    sys.exit(main(sys.argv[1]))
