"""The rules that keep the parts apart, and an invocation's start short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("rendezvous_server", "lambda_image", "statemachine", "scripts")


def imports(file: Path) -> set[str]:
    """Every module that `file` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = {
    file.relative_to(ROOT).as_posix(): imports(file)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}


def importers(*modules: str) -> set[str]:
    return {
        file
        for file, names in SOURCES.items()
        if any(name == module or name.startswith(f"{module}.") for name in names for module in modules)
    }


def within(files: set[str], *places: str) -> bool:
    return all(file.startswith(places) for file in files)


def test_torch_stays_with_the_model():
    assert within(importers("torch"), "lambda_image/model/", "lambda_image/inference.py", "scripts/")


def test_aws_stays_with_storage():
    assert within(importers("boto3", "botocore"), "lambda_image/storage.py", "scripts/", "statemachine/local/")


def test_sockets_stay_with_the_communicator_and_the_server():
    assert within(
        importers("socket"), "lambda_image/comm/", "rendezvous_server/", "statemachine/local/", "scripts/bench/"
    )


def test_the_image_takes_one_file_of_the_server():
    names = {name for file, names in SOURCES.items() if file.startswith("lambda_image/") for name in names}
    theirs = {name for name in names if name.startswith("rendezvous_server")}
    assert all(name.startswith("rendezvous_server.protocol.") for name in theirs)


def test_the_server_and_the_image_know_nothing_of_the_rest():
    for place, strangers in (
        ("rendezvous_server/", ("lambda_image", "statemachine", "scripts")),
        ("lambda_image/", ("statemachine", "scripts")),
        ("statemachine/", ("lambda_image", "scripts", "rendezvous_server")),
    ):
        assert not {file for file in importers(*strangers) if file.startswith(place)}


def test_the_protocol_needs_the_standard_library_only():
    names = {name.partition(".")[0] for name in SOURCES["rendezvous_server/protocol.py"]}
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("handler", "heavy"),
    [
        ("init", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("summarize", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("rank", {"torch", "rich", "sklearn"}),
    ],
)
def test_functions_start_without_heavy_imports(handler: str, heavy: set[str]):
    code = f"import sys, lambda_image.handlers.{handler}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(answer.stdout.split())
    assert not loaded & heavy
