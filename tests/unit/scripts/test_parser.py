import argparse
import re
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.parser import CommandParser


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser(prog="it")
    inner = parser.add_subparsers().add_parser("go")
    inner.add_argument("--speed", type=float)
    inner.add_argument("--speech", choices=["loud", "low"])
    inner.add_argument("--file", type=argparse.FileType(), required=True)
    inner.set_defaults(parser=inner)
    return parser


def test_what_is_right_is_as_argparse_has_it(parser: CommandParser):
    args = parser.parse_command(["go", "--speed", "2", "--file", __file__, "--speech", "low"])
    with args.file:
        assert (args.speed, args.speech) == (2.0, "low")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["go", "--file=-", "--spead", "3"], "it go has no --spead: did you mean --spe"),
        (["go", "--spead=3"], "it go has no --spead: did you mean --spe"),  # before what is missing
        (["go", "--file=-", "-x"], "it go has no -x: `it go --help` shows what there is"),
        (["go", "--file=-", "more"], "it go takes no 'more': `it go --help` shows what there is"),
        (["go"], "it go needs --file: `it go --help` shows what there is"),
        (["go", "--speed"], "--speed needs a value: `it go --help` shows what there is"),
        (["go", "--speed", "fast"], "--speed is 'fast'; allowed: a number"),
        (["go", "--speech", "lout"], "--speech is 'lout'; allowed: loud, low; did you mean loud?"),
        (["go", "--speech", "7"], "--speech is '7'; allowed: loud, low"),
        (["go", "--speec", "low", "--file=-"], "it go has no --speec: did you mean --speech?"),  # nor is it that
        (["go", "--quill", "--file=-"], "it go has no --quill: `it go --help` shows what there is"),  # no --file
        (["go", "--fi", "x"], "it go has no --fi: did you mean --file?"),
        (["go", "--file", "/none"], "--file: can't open '/none'"),
        (["stay"], "{go} is 'stay'; allowed: go"),
    ],
)
def test_what_is_wrong_is_one_line(parser: CommandParser, words: list[str], message: str):
    with pytest.raises(UsageError) as caught:
        parser.parse_command(words)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_no_program_takes_a_flag_for_another():
    """Those that are no commands of `cosmicai` have parsers of their own."""
    root = Path(__file__).parents[3]
    folders = ("lambda_image", "rendezvous_server", "scripts", "statemachine")
    files = [file for folder in folders for file in (root / folder).rglob("*.py")]
    calls = [
        call for file in files for call in re.findall(r"[ .]ArgumentParser\((.{0,200})", file.read_text(), re.DOTALL)
    ]
    assert len(calls) >= 5
    assert [call for call in calls if "allow_abbrev=False" not in call] == []
