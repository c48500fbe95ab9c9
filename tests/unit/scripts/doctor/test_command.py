import pytest

from scripts.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--megabytes", "0"], "--megabytes is 0; allowed: 1 to 64"),
        (["--rendezvous", "h"], "--rendezvous is h; allowed: host:port"),
        (["--json", "nowhere/out"], "--json nowhere/out would be in a folder that does not exist"),
        (["--stack", "Stars"], "--stack is Stars; allowed"),
    ],
)
def test_wrong_flags_are_refused_at_once(words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", *words]) == 2
    assert told in capsys.readouterr().err
