"""The vocabularies that operators rely on are those that the operators' page explains."""

import dataclasses
import re
from pathlib import Path

from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.protocol import RejectCode

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "rendezvous.md").read_text()


def test_every_outcome_is_explained_and_no_other() -> None:
    _, _, table = PAGE.partition("| outcome | the connection |")
    assert re.findall(r"^\| `(\w+)` \|", table.partition("## ")[0], re.MULTILINE) == list(Outcome)


def test_every_code_limit_and_flag_is_named() -> None:
    flags = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Limits)]
    for name in (*(code.name for code in RejectCode), *Limit, *flags):
        assert name in PAGE, name
