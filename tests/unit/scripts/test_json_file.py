import argparse
import json
from pathlib import Path

import pytest

from scripts.cli import COMMANDS, main, make_parser
from scripts.completion import actions
from scripts.json_file import add_json, json_alone, write_json
from scripts.parser import CommandParser

# What these leave is a file, a server or a stack, and they measure and list nothing.
SILENT = {"report", "sample", "import", "split", "join", "convert", "completion", "deploy", "destroy", "rendezvous"}


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Each command that can be given, also those of a command, by its words."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found |= parsers(below)
    return found or {parser.prog.removeprefix("cosmicai "): parser}


EVERY = parsers(make_parser(COMMANDS, whole=True))


@pytest.mark.parametrize("words", [words for words in EVERY if words.split()[0] not in SILENT])
def test_every_command_that_reports_something_does_so_as_json_by_one_flag(words: str):
    reference = CommandParser()
    add_json(reference, "all")
    [expected] = [action for action in actions(reference) if action.dest == "json"]
    [flag] = [action for action in EVERY[words]._actions if action.dest == "json"]
    named = ("option_strings", "type", "metavar", "default", "required")
    assert [getattr(flag, name) for name in named] == [getattr(expected, name) for name in named]
    assert "- is the standard output" in str(flag.help)
    assert any(action.dest == "overwrite" for action in EVERY[words]._actions)


@pytest.mark.parametrize("name", sorted(SILENT))
def test_no_command_is_left_out_that_reports_something_by_now(name: str):
    of_it = [parser for words, parser in EVERY.items() if words.split()[0] == name]
    assert of_it
    assert not [action for parser in of_it for action in parser._actions if action.dest == "json"]


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_the_standard_output_has_the_json_and_nothing_else(quiet: list[str], capsys: pytest.CaptureFixture[str]):
    given = ["cost", "--requests", "517", "--seconds", "6.55", "--memory-gb", "2.8", "--json", "-"]
    assert main([*given, *quiet]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)
    assert ("USD" in told.err) == (not quiet)
    assert "standard-output" not in told.err


def test_a_command_that_fails_leaves_the_standard_output_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["results", str(tmp_path), "--json", "-"]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("cosmicai: ")


def test_a_file_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    args = argparse.Namespace(json=tmp_path / "all.json")
    with json_alone(args):
        write_json({"rows": 3}, args.json, print)
        write_json({"rows": 3}, None, print)
    assert json.loads((tmp_path / "all.json").read_text()) == {"rows": 3}
    assert capsys.readouterr().out == f"figures in {tmp_path / 'all.json'}\n"
