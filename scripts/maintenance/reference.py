"""`make reference` writes docs/reference.md, which has every name that programs may import, from its docstring.

What a docstring leaves out is not added here: tests/unit/test_exports.py holds docstrings to naming every argument,
every result and every field. A signature is shown as the source has it.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference.md"
WIDTH = 120
HEADER = """\
# Reference

This page has everything that programs may import from this project. `make reference` writes it from the docstrings, and
a test fails where it is not what they say. [README.md](../README.md#from-python) begins with an example, and
[communicator.md](communicator.md) explains how the communicator behaves and how fast it is.

In signatures, a `Value` is a bytes-like object or a numpy array. `ArrayLike` and `NDArray` are numpy's, and an
`Endpoint` has a host and a port. `timeout_s` and `deadline` are two ways to say when a wait ends.
"""
PACKAGES = {  # whose names are on the page, and what is said of each
    "lambda_image": (
        "Predicts redshifts from Python. Importing this package loads nothing else. Each name is imported when it is"
        " first used."
    ),
    "lambda_image.comm": "Carries values between the ranks of a group. Each name is imported when it is first used.",
}
SECTIONS = ("Args", "Attributes", "Members", "Returns", "Yields", "Raises")
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):$", re.MULTILINE)
ENTRY = re.compile(r"^([\w*, ]+): ", re.MULTILINE)


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {sum(1 for _ in names())} names")
    return 0


def page() -> str:
    """Return the whole page."""
    parts = [HEADER, *(_contents(package) for package in PACKAGES)]
    current = ""
    for package, name in names():
        if package != current:
            parts.append(f"## {package}\n\n{textwrap.fill(PACKAGES[package], WIDTH)}\n")
            current = package
        parts.append(_entry(package, name))
    return "\n".join(parts)


def names() -> Iterator[tuple[str, str]]:
    """Yield each name once, with the package whose users it is for.

    A name that two packages offer belongs to the last one, which has its relatives.
    """
    homes = {name: package for package in PACKAGES for name in importlib.import_module(package).__all__}
    for package in PACKAGES:
        yield from ((package, name) for name in sorted(homes, key=str.lower) if homes[name] == package)


def heading(name: str, thing: object) -> str:
    """Return what stands above a name, which tells a class from a function of nearly the same name."""
    if inspect.isclass(thing):
        return f"class {name}"
    return f"{name}()" if callable(thing) else name


def _contents(package: str) -> str:
    module = importlib.import_module(package)
    links = (_link(heading(name, getattr(module, name)), name) for name in sorted(module.__all__, key=str.lower))
    return (
        textwrap.fill(f"`{package}`: {', '.join(links)}", WIDTH, break_on_hyphens=False, break_long_words=False) + "\n"
    )


def _link(title: str, name: str) -> str:
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"[{name}](#{anchor})"


def _entry(package: str, name: str) -> str:
    thing = getattr(importlib.import_module(package), name)
    title = f"### {heading(name, thing)}\n"
    if inspect.isclass(thing):
        return "\n".join([title, *_class(package, name, thing)])
    if callable(thing):
        return "\n".join([title, *_function(name, _definition(thing), inspect.getdoc(thing) or "")])
    return "\n".join([title, *_constant(package, name, thing)])


def _class(package: str, name: str, thing: type) -> Iterator[str]:
    node = _definition(thing)
    assert isinstance(node, ast.ClassDef)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"from {package} import {name}"]
    if issubclass(thing, Exception | Enum) or not hasattr(thing, "__dataclass_fields__"):
        lines.append(f"class {name}({bases})" if bases else f"class {name}")
    else:
        lines.append(_signature(name, [_field(field) for field in _fields(node)], ""))
    yield _code(*lines)
    yield from _docstring(inspect.cleandoc(thing.__doc__ or ""), _commented(thing))
    for member, value in vars(thing).items():
        function = getattr(value, "__func__", value)
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"#### {name}.{member}\n"
            assert value.fget is not None
            getter = _definition(value.fget)
            assert isinstance(getter, ast.FunctionDef)
            yield _code(f"{member}: {ast.unparse(getter.returns) if getter.returns else 'object'}")
            yield from _docstring(inspect.getdoc(value) or "", {})
        elif inspect.isfunction(function):
            yield f"#### {name}.{member}()\n"
            yield from _function(member, _definition(function), inspect.getdoc(value) or "")


def _function(name: str, node: ast.AST, text: str) -> Iterator[str]:
    assert isinstance(node, ast.FunctionDef)
    arguments = [one for one in _split(ast.unparse(node.args)) if one not in ("self", "cls", "")]
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    yield _code(_signature(name, [_spaced(one) for one in arguments], returned))
    yield from _docstring(text, {})


def _signature(name: str, arguments: Sequence[str], returned: str) -> str:
    line = f"{name}({', '.join(arguments)}){returned}"
    if len(line) <= WIDTH:
        return line
    lines = "".join(f"    {one},\n" for one in arguments)
    return f"{name}(\n{lines}){returned}"


def _constant(package: str, name: str, value: object) -> Iterator[str]:
    """What the comment above an assignment says, in the module where it stands."""
    for module in {getattr(importlib.import_module(package), one).__module__ for one in _classes(package)}:
        found = re.search(rf"((?:^#.*\n)+){name} = ", inspect.getsource(importlib.import_module(module)), re.MULTILINE)
        if found:
            yield _code(f"{name} = {value!r}")
            yield from _docstring(re.sub(r"^# ?", "", found[1], flags=re.MULTILINE).strip(), {})


def _classes(package: str) -> Iterator[str]:
    module = importlib.import_module(package)
    return (name for name in module.__all__ if inspect.isclass(getattr(module, name)))


def _docstring(text: str, commented: dict[str, str]) -> Iterator[str]:
    """The prose of a docstring as it is, and each section as a list. `commented` are members that comments explain."""
    prose, *rest = SECTION.split(text)
    yield from _prose(prose)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    if commented:
        sections["Members"] = "\n".join(f"{name}: {words}" for name, words in commented.items())
    for section in SECTIONS:
        if section in sections:
            yield f"{section}:\n"
            yield _list(inspect.cleandoc("\n" + sections[section]), named=section not in ("Returns", "Yields"))


def _prose(text: str) -> Iterator[str]:
    for paragraph in filter(None, (part.rstrip() for part in re.split(r"\n{2,}", text.strip("\n")))):
        if paragraph.startswith("    "):
            yield _code(textwrap.dedent(paragraph))
        elif paragraph.startswith("* "):
            yield _bullets(re.split(r"^\* ", paragraph, flags=re.MULTILINE)[1:])
        else:
            yield _wrapped(paragraph) + "\n"


def _list(text: str, *, named: bool) -> str:
    if not named:
        return _bullets([text])
    starts = [match.start() for match in ENTRY.finditer(text)]
    entries = [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]
    return _bullets(["`{}`: {}".format(*entry.split(": ", 1)) for entry in entries])


def _bullets(entries: list[str]) -> str:
    return "".join(f"* {_wrapped(entry, indent='  ')}\n" for entry in entries)


def _wrapped(text: str, indent: str = "") -> str:
    words = re.sub(r"\s+", " ", text).strip().replace("<", "&lt;")
    return textwrap.fill(
        words, WIDTH - len(indent), subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def _code(*lines: str) -> str:
    return "```python\n{}\n```\n".format("\n".join(lines))


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """What a dataclass is made of."""
    fields = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
    return [field for field in fields if "ClassVar" not in ast.unparse(field.annotation)]


def _field(field: ast.AnnAssign) -> str:
    """A field as an argument. One that is made anew for each object has no value to show."""
    text = ast.unparse(field)
    return re.sub(r" = field\(.*\)$", " = ...", text)


def _commented(thing: type) -> dict[str, str]:
    """The members of an enumeration, each with the comment behind it, or else its value."""
    if not issubclass(thing, Enum):
        return {}
    words = dict(re.findall(r"^    (\w+) = [^\n]*?  # (.+)$", inspect.getsource(thing), re.MULTILINE))
    return {member.name or "": words.get(member.name or "", str(member.value)) for member in thing}


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _definition(thing: object) -> ast.AST:
    """The class or function in the source, by its qualified name."""
    file = inspect.getsourcefile(thing)  # type: ignore[arg-type]  # what is asked for is a class or a function
    assert file is not None
    node: ast.AST = _tree(file)
    for part in thing.__qualname__.split("."):  # type: ignore[attr-defined]
        assert isinstance(node, ast.Module | ast.ClassDef)
        node = next(one for one in node.body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == part)
    return node


def _spaced(argument: str) -> str:
    """An argument as people write it, with spaces around the sign where it has a type."""
    named = re.fullmatch(r"(\w+: [^=]+)=(.+)", argument)
    return f"{named[1]} = {named[2]}" if named else argument


def _split(arguments: str) -> list[str]:
    """The arguments of a signature, one each."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(arguments):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append(arguments[start:place].strip())
            start = place + 1
    return [*parts, arguments[start:].strip()]


if __name__ == "__main__":
    raise SystemExit(main())
