"""What a user imports from lambda_image.comm."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_image import comm, errors

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", comm.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(comm, name) is not None
    assert name in dir(comm)


def test_every_error_that_the_communicator_raises_is_there() -> None:
    family = [item for item in vars(errors).values() if inspect.isclass(item)]
    assert {item.__name__ for item in family if issubclass(item, errors.CommunicationError)} <= set(comm.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Connector'"):
        _ = comm.Connector  # type: ignore[attr-defined]


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, lambda_image.comm; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = [name for name in answer.stdout.split() if name.startswith(("lambda_image", "rendezvous_server", "numpy"))]
    assert loaded == ["lambda_image", "lambda_image.comm"]


def documented() -> list[tuple[str, object]]:
    """The exported classes, and the methods and properties that each defines."""
    found: list[tuple[str, object]] = []
    for name in comm.__all__:
        item = getattr(comm, name)
        if inspect.isclass(item):
            found.append((name, item))
            members = vars(item).items() if item.__module__.startswith("lambda_image.comm") else ()
            found += [(f"{name}.{key}", getattr(item, key)) for key, _ in members if not key.startswith("_")]
    return [(name, item) for name, item in found if callable(item) or isinstance(item, property)]


@pytest.mark.parametrize(("name", "item"), documented(), ids=[name for name, _ in documented()])
def test_every_class_and_method_says_what_it_takes_and_gives(name: str, item: object) -> None:
    text = inspect.getdoc(item) or ""
    assert text.partition("\n")[0].endswith(".")
    if inspect.isroutine(item):
        signature = inspect.signature(item)
        named = set(signature.parameters) - {"self", "cls"}
        assert not {name for name in named if f"    {name}: " not in text}
        assert ("Returns:" in text) == (signature.return_annotation not in (None, "None"))
