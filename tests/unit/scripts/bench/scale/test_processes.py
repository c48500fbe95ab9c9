import pytest

from scripts.bench.scale.processes import environ_of


def test_the_function_asks_the_server_and_nobody_else(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    environ = environ_of(4321)
    assert environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4321"
    assert "AWS_PROFILE" not in environ
