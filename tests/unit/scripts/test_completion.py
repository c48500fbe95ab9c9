import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.cli import COMMANDS, main
from scripts.completion import SHELLS, actions


def test_every_flag_of_every_command_is_found():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    commands.add_parser("one").add_argument("--flag", type=Path)
    assert "--flag" in {string for action in actions(parser) for string in action.option_strings}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)
    assert "on-bad-row" in script


def completed(script: str, words: list[str]) -> list[str]:
    """What bash offers for the last of these words."""
    line = " ".join(words)
    asked = f"""
{script}
COMP_WORDS=({line})
COMP_CWORD={len(words) - 1} COMP_LINE={line!r} COMP_POINT={len(line)}
{function_of(script)}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    told = subprocess.run(["bash", "--norc"], input=asked, capture_output=True, text=True, check=True)
    return told.stdout.split()


def function_of(script: str) -> str:
    return next(line for line in script.splitlines() if line.startswith("complete ")).split(" -F ")[1].split()[0]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_bash_completes_commands_flags_and_choices(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, ["cosmicai", "de"]) == ["demo", "deploy", "destroy"]
    assert completed(script, ["cosmicai", "demo", "--wor"]) == ["--world-size"]
    assert completed(script, ["cosmicai", "demo", "--on-bad-row", "sk"]) == ["skip"]
