"""What the packages offer: every name in an `__all__` is there, is listed and is explained."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.test_layout import PACKAGES, ROOT


def offers(file: Path) -> bool:
    """Whether `__all__` is assigned in it."""
    assigned = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for node in assigned for target in node.targets)


OFFERING = [
    ".".join(file.parent.relative_to(ROOT).parts)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("__init__.py"))
    if offers(file)
]
# The packages whose names are explained as `unexplained` wants it.
EXPLAINED = ("lambda_image", "lambda_image.comm", "rendezvous_server.protocol")


def exports(package: ModuleType) -> dict[str, object]:
    return {name: getattr(package, name) for name in package.__all__}


def unexplained(name: str, value: object) -> Iterator[str]:
    """What the docstrings of an exported class or function leave out, by these rules.

    Each has a docstring, and so has every public method. `Args:` names every parameter of a function, of a method and
    of a class's own `__init__`. `Returns:` or `Yields:` is there where anything is returned. `Attributes:` names every
    public field that a class annotates, or a comment stands behind it; enumerations need none.
    """
    if inspect.isclass(value):
        yield from _unexplained_class(name, value)
    elif inspect.isroutine(value):
        yield from _unexplained_function(name, value)


def _unexplained_class(name: str, value: type) -> Iterator[str]:
    text = vars(value).get("__doc__") or ""
    if not text or text.startswith(f"{value.__name__}("):  # what dataclass writes itself
        yield f"{name} has no docstring"
    if not issubclass(value, Enum):
        commented = re.findall(r"^    (\w+): .*  # \w", inspect.getsource(value), re.MULTILINE)
        named = _entries(text, "Attributes") | set(commented)
        fields = [field for field in vars(value).get("__annotations__", {}) if not field.startswith("_")]
        yield from (f"{name}: Attributes leaves out {field}" for field in fields if field not in named)
    own = vars(value)
    if "__init__" in own and not hasattr(value, "__dataclass_fields__") and not hasattr(value, "_is_protocol"):
        named = _entries(text, "Args") | _entries(own["__init__"].__doc__ or "", "Args")
        yield from (f"{name}: Args leaves out {p}" for p in _parameters(own["__init__"]) if p not in named)
    for attribute, member in own.items():
        if attribute.startswith("_"):
            continue
        function = getattr(member, "__func__", member)
        if isinstance(member, property):
            if not member.__doc__:
                yield f"{name}.{attribute} has no docstring"
        elif inspect.isfunction(function):
            yield from _unexplained_function(f"{name}.{attribute}", function)


def _unexplained_function(name: str, function: Any) -> Iterator[str]:
    text = function.__doc__ or ""
    if not text:
        yield f"{name} has no docstring"
    named = _entries(text, "Args")
    yield from (f"{name}: Args leaves out {p}" for p in _parameters(function) if p not in named)
    returns = inspect.signature(function).return_annotation not in (None, "None", inspect.Signature.empty)
    if returns and not re.search(r"^ *(Returns|Yields):$", text, re.MULTILINE):
        yield f"{name} has no Returns"


def _parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def _entries(text: str, section: str) -> set[str]:
    """The names that a section of a docstring explains."""
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)*)", inspect.cleandoc(text), re.MULTILINE)
    return set(re.findall(r"^    \*{0,2}(\w+): ", found[1], re.MULTILINE)) if found else set()


def test_the_packages_that_offer_something_are_found():
    assert {"lambda_image", "rendezvous_server.protocol"} <= set(OFFERING)
    assert set(EXPLAINED) <= set(OFFERING)


@pytest.mark.parametrize("name", OFFERING)
def test_every_name_is_there_and_listed(name: str):
    package = importlib.import_module(name)
    assert list(package.__all__) == list(dict.fromkeys(package.__all__))
    exports(package)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nonsense'"):
        _ = package.nonsense


@pytest.mark.parametrize("name", OFFERING)
def test_what_a_type_checker_sees_is_what_python_gives(name: str):
    """What is imported for type checkers only, and late otherwise, comes from the module that they were told."""
    package = importlib.import_module(name)
    for node in ast.walk(ast.parse(Path(package.__file__ or "").read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for imported in node.body:
                assert isinstance(imported, ast.ImportFrom)
                module = importlib.import_module(imported.module or "")
                for alias in imported.names:
                    assert getattr(package, alias.name) is getattr(module, alias.name)


@pytest.mark.parametrize("name", EXPLAINED)
def test_every_name_is_explained(name: str):
    left_out = [
        gap
        for exported, value in exports(importlib.import_module(name)).items()
        for gap in unexplained(exported, value)
    ]
    assert left_out == []


def test_what_is_not_explained_is_told():
    class Bare:
        """Has a field."""

        field: int

        def __init__(self, size: int) -> None:
            self.field = size

        def method(self, given: int) -> int:
            """Has none of the sections.

            Args:
                other: Not what is given.
            """
            return given

    def bare(left: int, *right: int) -> None:
        pass

    assert list(unexplained("Bare", Bare)) == [
        "Bare: Attributes leaves out field",
        "Bare: Args leaves out size",
        "Bare.method: Args leaves out given",
        "Bare.method has no Returns",
    ]
    assert list(unexplained("bare", bare)) == [
        "bare has no docstring",
        "bare: Args leaves out left",
        "bare: Args leaves out right",
    ]


def run_alone(code: str, cwd: Path) -> str:
    """The output of a fresh interpreter that can import the checkout."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd).stdout


def test_importing_the_package_loads_nothing_of_it(tmp_path: Path):
    before, after = run_alone("print(*sys.modules); import lambda_image; print(*sys.modules)", tmp_path).splitlines()
    new = set(after.split()) - set(before.split())
    assert {name for name in new if name.startswith("lambda_image")} == {"lambda_image"}
    assert not {name for name in new if name.partition(".")[0] in ("numpy", "torch", "boto3", "rendezvous_server")}
