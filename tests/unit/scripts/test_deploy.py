import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.cli import main
from scripts.deploy import agree
from scripts.stack.template import FILLED_IN, parameters, parsed, stack_template


def test_the_template_is_printed_without_an_account(capsys: pytest.CaptureFixture[str]):
    assert main(["deploy", "--template"]) == 0
    printed = capsys.readouterr().out
    assert printed == stack_template()
    assert "# " in printed
    assert parsed(printed)["Resources"]["StateMachine"]["Properties"]["Definition"]["StartAt"] == "Init"


def test_the_parameters_are_listed_with_their_defaults(capsys: pytest.CaptureFixture[str]):
    assert main(["deploy", "--list-parameters"]) == 0
    printed = capsys.readouterr().out
    assert "RankMemory=3008\n    MB of memory of a rank" in printed
    for name in parameters(stack_template()):
        assert (f"{name}=" in printed) is (name not in FILLED_IN)


@pytest.mark.parametrize(
    ("answer", "meant"), [("y\n", True), ("Yes\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str, meant: bool):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert agree("Go on?") is meant


def test_the_shell_script_passes_its_flags_on(tmp_path: Path):
    script = Path(__file__).parents[3] / "scripts" / "deploy.sh"
    repository = tmp_path / "a repository"
    for folder in (repository / "scripts", repository / ".venv" / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(script, repository / "scripts")
    command = repository / ".venv" / "bin" / "cosmicai"
    command.write_text('#!/bin/sh\necho "$*"\n')
    command.chmod(0o755)
    given = [str(repository / "scripts" / "deploy.sh"), "--region", "eu-west-1"]
    answer = subprocess.run(given, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    assert answer.stdout == "deploy --region eu-west-1\n"
