"""The template of the stack: stack.yaml with the state machine's definition in it, and its parameters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lambda_image.errors import UsageError
from statemachine.definition import DEFINITION

FOLDER = DEFINITION.parent / "stack"
PLACE = "Definition: redshift.asl.json # `cosmicai deploy` puts the file's content here"
MAX_BODY_BYTES = 51_200  # of a template that is no object on S3
FILLED_IN = ("LambdaImage", "RendezvousImage", "Version")  # by `cosmicai deploy`


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter as the template declares it."""

    name: str
    description: str
    default: str | None  # None: it must be given


def stack_template() -> str:
    """Returns the template of everything but the image repositories, with its comments, as YAML."""
    text = (FOLDER / "stack.yaml").read_text(encoding="utf-8")
    before, place, after = text.partition(PLACE)
    if not place:
        raise ValueError(f"{FOLDER / 'stack.yaml'} has no line {PLACE!r}")
    margin = " " * (len(before) - before.rindex("\n") + 1)
    states = "\n".join(margin + line for line in DEFINITION.read_text(encoding="utf-8").splitlines())
    return f"{before}Definition:\n{states}{after}"


def images_template() -> str:
    """Returns the template of the image repositories, with its comments, as YAML."""
    return (FOLDER / "images.yaml").read_text(encoding="utf-8")


@cache
def parsed(text: str) -> dict[str, Any]:
    """Parses a template, whose short forms such as !Ref become the long ones such as {"Ref": ...}."""
    return dict(_loader()(text))


def body(text: str) -> str:
    """Returns a template as CloudFormation is sent it: as JSON without comments and blanks, which is a quarter shorter.

    Raises:
        ValueError: it is longer than CloudFormation takes.
    """
    short = json.dumps(parsed(text), separators=(",", ":"), ensure_ascii=False)
    if (size := len(short.encode())) > MAX_BODY_BYTES:
        raise ValueError(f"the template has {size:,} bytes, and CloudFormation takes {MAX_BODY_BYTES:,}")
    return short


def parameters(text: str) -> dict[str, ParameterSpec]:
    """Lists the parameters of a template in its order."""
    return {
        name: ParameterSpec(name, spec["Description"], None if "Default" not in spec else str(spec["Default"]))
        for name, spec in parsed(text)["Parameters"].items()
    }


def read_assignments(given: Sequence[str], flag: str) -> dict[str, str]:
    """Reads NAME=VALUE from the values of a flag.

    Raises:
        UsageError: one of them has no =, or two have the same name.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} is {text}; allowed: NAME=VALUE")
        if name in found:
            raise UsageError(f"{flag} gives {name} twice")
        found[name] = value
    return found


def check_parameters(given: Mapping[str, str], specs: Mapping[str, ParameterSpec]) -> None:
    """Checks the names of parameters that a user gives. CloudFormation checks their values.

    Raises:
        UsageError: the template has no such parameter, or it is not for users.
    """
    for name in given:
        if name not in specs:
            known = ", ".join(known for known in specs if known not in FILLED_IN)
            raise UsageError(f"--parameter {name}: the stack has no such parameter; there are {known}")
        if name in FILLED_IN:
            raise UsageError(f"--parameter {name} is filled in by the command: give --image or --rendezvous-image")


@cache
def _loader() -> Any:
    """A parser of YAML that executes nothing and knows the tags of CloudFormation."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML comes without types
        pass

    def long_form(loader: Any, tag: str, node: Any) -> dict[str, Any]:
        name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
            return {name: value.split(".", 1) if tag == "GetAtt" else value}
        if isinstance(node, yaml.SequenceNode):
            return {name: loader.construct_sequence(node, deep=True)}
        return {name: loader.construct_mapping(node, deep=True)}

    Loader.add_multi_constructor("!", long_form)
    return lambda text: yaml.load(text, Loader)  # noqa: S506 - the loader is derived from the safe one
