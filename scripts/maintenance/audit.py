"""`python -m scripts.maintenance.audit`: known vulnerabilities of what the images and this environment install.

pip-audit asks OSV, a public database, about each package at its exact version. Where the database cannot be reached,
nothing is known. That is said in one line, and is no failure, since a checkout has to build without the internet.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / ".venv" / "audit" / "bin" / "pip-audit"  # in an environment of its own, made by `make audit`
DATABASE = "https://api.osv.dev/v1/query"
ANSWER_LIMIT_S = 5  # for the database to answer one question
LIMIT_S = 120.0  # for all of them, some 200
PIN = re.compile(r"^([\w.-]+)==([\w.!-]+)", re.MULTILINE)  # without the local part of a version, as in 2.13.0+cpu
OURS = "cosmicai"
# Vulnerabilities that do not concern this project, each with the reason.
ACCEPTED: Mapping[str, str] = {}

Pins = Mapping[str, set[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what was found, and returns 1 where that is a vulnerability."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.maintenance.audit", allow_abbrev=False, description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--database", default=DATABASE, metavar="URL", help="of OSV (default: %(default)s)")
    parser.add_argument("--tool", type=Path, default=TOOL, metavar="FILE", help="pip-audit (default: %(default)s)")
    given = parser.parse_args(argv)
    pins = merged([locked(file.read_text(encoding="utf-8")) for file in sorted((ROOT / "requirements").glob("*.txt"))])
    pins = merged([pins, installed()])
    count = sum(map(len, pins.values()))
    there = given.tool.is_file()
    answer = ask(pins, given.database, given.tool) if there else "pip-audit could not be installed"
    if isinstance(answer, str):
        print(f"no audit of {count} packages, because {answer}")
        return 0
    found = list(vulnerabilities(answer))
    print(*found, f"{count} packages audited, {len(found)} vulnerabilities found", sep="\n")
    return 1 if found else 0


def locked(text: str) -> Pins:
    """Reads which versions a file of requirements/ pins, by the packages' names."""
    return merged({_name(name): {version}} for name, version in PIN.findall(text))


def installed() -> Pins:
    """Reads which versions this environment has, which are those that pyproject.toml's ranges came to."""
    described = (package.metadata for package in metadata.distributions())  # which is read whenever it is asked for
    found = ((_name(about["Name"]), about["Version"]) for about in described)
    return merged({name: {version.partition("+")[0]}} for name, version in found if name != OURS)


def merged(all_pins: Iterable[Pins]) -> dict[str, set[str]]:
    """Puts together which versions of each package there are."""
    together: defaultdict[str, set[str]] = defaultdict(set)
    for pins in all_pins:
        for name, versions in pins.items():
            together[name] |= versions
    return dict(together)


def layers(pins: Pins) -> list[str]:
    """Writes requirements so that no text has two versions of a package, which pip-audit would refuse."""
    texts: list[list[str]] = []
    for name, versions in sorted(pins.items()):
        for depth, version in enumerate(sorted(versions)):
            texts += [[]] if depth == len(texts) else []
            texts[depth].append(f"{name}=={version}")
    return ["\n".join(lines) + "\n" for lines in texts]


def ask(pins: Pins, database: str, tool: Path, limit_s: float = LIMIT_S) -> list[dict[str, Any]] | str:
    """Has pip-audit ask the database.

    Args:
        pins: The packages' versions.
        database: The address of OSV.
        tool: The program.
        limit_s: How long all answers may take together.

    Returns:
        What it says of each package, or why there is no answer.
    """
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(layers(pins)):
            file = Path(folder) / f"{number}.txt"
            file.write_text(text, encoding="utf-8")
            command = [str(tool), "--no-deps", "--disable-pip", "--requirement", str(file), "--format", "json"]
            command += ["--vulnerability-service", "osv", "--osv-url", database, "--timeout", str(ANSWER_LIMIT_S)]
            command += ["--progress-spinner", "off"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
                found += json.loads(done.stdout)["dependencies"]
            except subprocess.TimeoutExpired:
                return f"{database} took longer than {limit_s:g} s"
            except (ValueError, LookupError, TypeError):  # a traceback of the tool's, whose last line is the reason
                last = done.stderr.strip().rpartition("\n")[2]
                return f"{database} could not be asked: {last.partition(':')[0][:100] or 'no answer'}"
    return found


def vulnerabilities(answer: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a line for each vulnerability that is not accepted."""
    for package in answer:
        for known in package.get("vulns", ()):
            names = {known["id"], *known.get("aliases", ())}
            if not names & ACCEPTED.keys():
                mended = ", ".join(known.get("fix_versions", ())) or "no version"
                yield f"{package['name']} {package['version']}: {known['id']}, mended in {mended}"


def _name(text: str) -> str:
    """The one spelling of a package's name, as PyPI has it."""
    return re.sub(r"[-_.]+", "-", text).lower()


if __name__ == "__main__":
    sys.exit(main())
