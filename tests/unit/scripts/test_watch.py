import pytest

from scripts.cli import main


def test_an_endpoint_that_nobody_has_started_is_told_in_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["watch", "mine", "--endpoint-url", "http://127.0.0.1:9"]) == 1  # discard: nobody listens there
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9 does not answer" in told
    assert told.count("\n") == 1


def test_a_run_has_to_be_named(capsys: pytest.CaptureFixture[str]):
    assert main(["watch"]) == 2
    assert "cosmicai watch needs ID" in capsys.readouterr().err
