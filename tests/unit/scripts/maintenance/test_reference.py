import ast
import importlib
import inspect
import re

import pytest

from scripts.maintenance import reference
from scripts.maintenance.reference import PACKAGES, PAGE, heading, names, page

TEXT = page()


def test_the_page_is_what_make_reference_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == TEXT, "the docstrings have changed since: make reference"


def test_every_exported_name_has_one_place() -> None:
    listed = [name for _, name in names()]
    exported = {name for package in PACKAGES for name in importlib.import_module(package).__all__}
    assert sorted(listed) == sorted(exported)
    for package, name in names():
        title = heading(name, getattr(importlib.import_module(package), name))
        assert TEXT.count(f"\n### {title}\n") == 1


def test_every_public_method_and_property_has_a_place() -> None:
    for package, name in names():
        thing = getattr(importlib.import_module(package), name)
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
                    assert re.search(rf"^#### {name}\.{member}(\(\))?$", TEXT, re.MULTILINE), member


def test_nothing_that_a_docstring_explains_is_lost() -> None:
    """Each line of a list in a docstring is one of the page."""
    for package, name in names():
        text = inspect.getdoc(getattr(importlib.import_module(package), name)) or ""
        for argument in re.findall(r"^    (\w+): ", text, re.MULTILINE):
            assert f"\n* `{argument}`: " in TEXT, (name, argument)


def test_each_signature_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) > 25
    for block in blocks:
        *imports, shown = re.split(r"^(from .+\n)", block, flags=re.MULTILINE)
        ast.parse("".join(imports))
        kind = "class" if shown.startswith("class ") else "def"
        code = shown if kind == "class" else f"def {shown}"
        if re.fullmatch(r"\w+(: .+| = .+)\n", shown):
            code = shown
        ast.parse(code if code == shown and kind == "def" else f"{code.rstrip()}: ...")


@pytest.mark.parametrize(
    ("argument", "shown"),
    [("a: int=0", "a: int = 0"), ("a=0", "a=0"), ("*", "*"), ("a: str='b=c'", "a: str = 'b=c'"), ("**kw", "**kw")],
)
def test_a_default_stands_apart_where_there_is_a_type(argument: str, shown: str) -> None:
    assert reference._spaced(argument) == shown


def test_arguments_are_told_apart_by_their_own_commas() -> None:
    assert reference._split("a: dict[str, int], b: tuple[int, ...]=(1, 2)") == [
        "a: dict[str, int]",
        "b: tuple[int, ...]=(1, 2)",
    ]


def test_a_docstring_becomes_prose_code_and_lists() -> None:
    text = """Do a thing.

    Twice, with <r>.json.

        thing(1)

    * One.
    * Two,
      longer.

    Args:
        a: The first,
            and more.
        b: The second.

    Returns:
        What it
        was.
    """
    assert "\n".join(reference._docstring(inspect.cleandoc(text), {})) == (
        "Do a thing.\n\nTwice, with &lt;r>.json.\n\n```python\nthing(1)\n```\n\n* One.\n* Two, longer.\n\n"
        "Args:\n\n* `a`: The first, and more.\n* `b`: The second.\n\nReturns:\n\n* What it was.\n"
    )
