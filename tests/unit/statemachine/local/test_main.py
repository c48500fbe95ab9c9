"""What `python -m statemachine.local` says of wrong flags: a line each, and status 2, before anything is started."""

import json
from pathlib import Path

import pytest

from statemachine.local.__main__ import main


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--port", "70000"], "argument --port: '70000' is not a port: 0 to 65535"),
        (["--port", "-1"], "argument --port: '-1' is not a port: 0 to 65535"),
        (["--workers", "-1"], "argument --workers: '-1' is not a number of workers: 0 or more"),
        (["--workers", "two"], "argument --workers: 'two' is not a number of workers: 0 or more"),
        (["--host", "a..b"], "argument --host: 'a..b' is not an address or a host's name"),
        (["--concurrency", "0"], "argument --concurrency: '0' is not a number of invocations: 1 or more"),
        (["--waking", "inf"], "argument --waking: 'inf' is not a number of seconds: 0 or more"),
        (["--waking", "soon"], "argument --waking: 'soon' is not a number of seconds: 0 or more"),
        (["--functions", "no such file"], "--functions no such file: "),
    ],
)
def test_a_wrong_flag_is_one_line(flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    usage, _, error = capsys.readouterr().err.rstrip("\n").rpartition("\n")
    assert usage.startswith("usage: python -m statemachine.local")
    assert error.startswith(f"python -m statemachine.local: error: {problem}")


def test_a_wrong_table_names_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "functions.json"
    file.write_text(json.dumps({"rank": {"workers": "two"}}))
    with pytest.raises(SystemExit) as ended:
        main(["--functions", str(file)])
    assert ended.value.code == 2
    assert f"--functions {file}: function rank: workers" in capsys.readouterr().err
