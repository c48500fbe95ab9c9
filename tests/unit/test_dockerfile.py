"""What the builds copy is named file by file, so that most changes of code do not compile the engine anew."""

import re
from functools import cache
from pathlib import Path

import pytest

import lambda_image
from rendezvous_server import protocol
from tests.unit.test_layout import ROOT, SOURCES, imports

OURS, LOCAL = "lambda_image/Dockerfile", "statemachine/local/Dockerfile"


def stage(name: str, dockerfile: str = OURS) -> str:
    text = (ROOT / dockerfile).read_text()
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].replace("\\\n", " ")


def copied(name: str, dockerfile: str = OURS) -> set[str]:
    """The files that a stage copies from the checkout."""
    sources = [
        source
        for line in stage(name, dockerfile).splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
        if "$" not in source
    ]
    return {path.relative_to(ROOT).as_posix() for source in sources for path in ROOT.glob(source) if path.is_file()}


def run_time_imports(source: str) -> set[str]:
    """What `source` imports when it runs, also late; a name of a package's front door stands in the module behind."""
    behind = {f"lambda_image.{name}": f"lambda_image.{module}" for name, module in lambda_image._MODULES.items()}
    for module, names in protocol._HOMES.items():
        behind |= {f"{protocol.__name__}.{name}": f"{protocol.__name__}.{module}" for name in names}
    return {behind.get(name, name) for name in imports(source, hints=False)}


def test_imports_for_type_hints_do_not_count_and_the_front_doors_names_do():
    source = """
if TYPE_CHECKING:
    from lambda_image.data import partition
else:
    import json
def late():
    from lambda_image import accuracy, process
"""
    assert run_time_imports(source) == {"json", "lambda_image.metrics", "lambda_image.process"}


@cache
def imports_of(file: str) -> set[str]:
    return run_time_imports((ROOT / file).read_text())


def needed(*starts: str) -> set[str]:
    """Those files and all of the project's that they import when they run, also late."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in imports_of(file):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                for path in ("/".join(parts[:length]) + ".py", "/".join(parts[:length]) + "/__init__.py"):
                    waiting += [path] if path in SOURCES else []
    return found


def test_all_that_converting_and_compiling_import_is_copied():
    starts = ("scripts/__main__.py", "scripts/cli.py", "scripts/convert.py", "scripts/compile.py")
    missing = needed(*starts) - copied("sources")
    assert not missing, f"add to the COPY lines of the stage `sources` in lambda_image/Dockerfile: {sorted(missing)}"


def test_nothing_else_is_whose_change_would_compile_the_engine_anew():
    wanted = needed("scripts/__main__.py", "scripts/convert.py", "scripts/compile.py", "lambda_image/model/engine.py")
    python = {file for file in copied("sources") if file.endswith(".py")}
    unneeded = {file for file in python - wanted if not file.startswith("lambda_image/model/")}
    assert not unneeded, f"leave out of the stage `sources` in lambda_image/Dockerfile: {sorted(unneeded)}"


@pytest.mark.parametrize(
    ("dockerfile", "folders"), [(OURS, ("lambda_image/",)), (LOCAL, ("lambda_image/", "statemachine/"))]
)
def test_an_image_has_what_its_code_needs_of_the_servers_protocol(dockerfile: str, folders: tuple[str, ...]):
    wanted = needed(*(file for file in SOURCES if file.startswith(folders)))
    missing = {file for file in wanted if file.startswith("rendezvous_server/")} - copied("code", dockerfile)
    assert not missing, f"add to the COPY lines of the stage `code` in {dockerfile}: {sorted(missing)}"


def test_the_versions_of_pytorch_agree():
    wanted = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text())
    locked = re.search(r"^torch==\S+", Path(ROOT / "requirements" / "torch.txt").read_text(), re.MULTILINE)
    assert wanted
    assert locked
    assert locked[0] == f"{wanted[1]}+cpu"
