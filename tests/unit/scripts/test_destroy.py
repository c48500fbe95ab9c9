import io

import pytest

from scripts.cli import main


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_where_nobody_can_be_asked_nothing_is_begun(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main([command, "--region", "us-east-1"]) == 2
    assert "give --yes, or --dry-run to look only" in capsys.readouterr().err
