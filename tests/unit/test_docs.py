"""What the documents name is there: files, commands, targets of make, keys of the execution input."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_image import events
from scripts.bench import BENCHMARKS
from scripts.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# A path that begins with a folder of the repository, in full: not an example (`NAME`, `<rank>`), not a module.
PATH = re.compile(r"(?:rendezvous_server|lambda_image|statemachine|scripts|tests|docs|requirements)/[\w./-]*")
COMMAND = re.compile(r"(?:`|^|^\$ )cosmicai ([a-z]\w*)(?: ([a-z]\w*))?", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ACTIVATE = "source .venv/bin/activate"  # what makes a shell find the programs of .venv
OF_VENV = re.compile(r"^(?:\$ )?(?:\w+=\S* )*(?:.*\bdo )?(?:cosmicai|python3?|pip|ruff|mypy|pytest) .*", re.MULTILINE)
TARGET = re.compile(r"\bmake ((?:[a-z.][a-z./]* ?)+)")


def prose(text: str) -> str:
    return FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """The fragments by which GitHub links to a document's headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(text))}


def paths(text: str) -> set[str]:
    """The repository's files that a document names in backticks."""
    return {code for code in re.findall(r"`([^`\n]+)`", prose(text)) if PATH.fullmatch(code) and "NAME" not in code}


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each `cosmicai COMMAND` with the word behind it."""
    for line in re.findall(r"`(cosmicai [^`\n]+)`", text) + FENCED.findall(text):
        yield from COMMAND.findall(line.replace("`", "") if line.startswith("`") else line)


def typed(text: str) -> Iterator[tuple[int, str]]:
    """Each line of a shell that needs a program of .venv, with its place."""
    for block in BLOCK.finditer(text):
        if block[1] in ("", "sh"):
            yield from ((block.start(2) + line.start(), line[0]) for line in OF_VENV.finditer(block[2]))


def targets(text: str) -> set[str]:
    """What is named after `make` in code."""
    code = re.findall(r"`(make [^`\n]+)`", prose(text)) + FENCED.findall(text)
    return {target for piece in code for words in TARGET.findall(piece) for target in words.split()}


def documented_keys(text: str) -> set[str]:
    """The keys in the first column of the table of the execution input, and the aliases named beside them."""
    section = text.split("## The execution input")[1].split("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row[0])}
    return keys | {alias for row in rows for alias in re.findall(r"`(\w+)` is an alias", row[1])}


def accepted_keys() -> set[str]:
    """The keys that events.py takes, and their aliases."""
    return set(re.findall(r"fields\.take\(\"(\w+)\"", inspect.getsource(events))) | set(events.ALIASES)


def test_the_patterns_find_what_they_are_for():
    text = "# A b: c\nsee [x](y.md#z), `docs/none.md`, `scripts/NAME.py`, `cosmicai nothing`, `make demo X=`\n"
    block = "```sh\ncosmicai bench none\nmake all the\n```\n"
    assert LINK.findall(text) == ["y.md#z"]
    assert anchors(text) == {"a-b-c"}
    assert paths(text) == {"docs/none.md"}
    assert list(commands(text + block)) == [("nothing", ""), ("bench", "none")]
    assert targets(text + block) == {"demo", "all", "the"}
    lines = "$ cosmicai x\nA=1 python y\nfor r in 1 2; do python z & done\npip install\n  cosmicai is shown\nls\n"
    assert [line for _, line in typed(f"```\n{lines}```\n```python\npip = 1\n```\n")] == lines.splitlines()[:4]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_relative_links_lead_somewhere(document: Path):
    for link in LINK.findall(prose(document.read_text())):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (document.parent / path) if path else document
        assert target.is_file(), link
        assert not fragment or fragment in anchors(target.read_text()), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_commands_and_targets_exist(document: Path):
    text = document.read_text()
    assert {path for path in paths(text) if not (ROOT / path).exists()} == set()
    for command, word in commands(text):
        assert command in COMMANDS, command
        if command == "bench":
            assert word in ("", *BENCHMARKS), word
    known = set(re.findall(r"^([\w./$()]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets(text) <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_new_shell_finds_whatever_is_typed(document: Path):
    """By one way, which stands before the first line that needs it. `sudo` takes nothing from the shell."""
    text = document.read_text()
    known = text.find(ACTIVATE)
    assert [line for place, line in typed(text) if known < 0 or place < known] == []
    assert re.findall(r"(?<!sudo )(?<!source )\.venv/bin/\S+", text) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_file_is_made_before_it_is_read(document: Path):
    text = document.read_text()
    for read in re.finditer(r"read_dataset\(\"([\w./]+)\"\)", text):
        made = text.find(f"cosmicai sample {read[1]}")
        assert 0 <= made < read.start(), read[1]


def test_every_document_is_reached_from_the_readme():
    linked = {(ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text()) if "://" not in link}
    assert set((ROOT / "docs").glob("*.md")) <= linked


def test_every_command_has_a_row_in_the_readme():
    rows = "\n".join(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `cosmicai "))
    assert {command for command, _ in commands(rows)} == set(COMMANDS)


def test_the_documented_keys_of_the_execution_input_are_those_that_are_taken():
    text = (ROOT / "docs" / "runs.md").read_text()
    assert documented_keys(text) == accepted_keys()
    unused = text.split("## The execution input")[1].split("mean nothing here")[1].split("An unknown key")[0]
    assert set(re.findall(r"`(\w+)`", unused)) == set(events.KNOWN_BUT_UNUSED)
