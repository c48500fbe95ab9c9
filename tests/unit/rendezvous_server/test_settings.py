from pathlib import Path

import pytest

from rendezvous_server.limits import Limits
from rendezvous_server.settings import HELP, ServerSettings, read_settings


def test_nothing_given_is_the_defaults() -> None:
    assert read_settings([], {}) == ServerSettings("0.0.0.0", 10_000, 10_001, 10_080, False, None, Limits())


@pytest.mark.parametrize(
    ("argv", "environ", "ports"),
    [
        (["--port", "7"], {}, (7, 8, 10_080)),
        (["--port", "0"], {}, (0, 0, 0)),
        (["--port", "65535"], {}, (65_535, None, 10_080)),
        (["--port", "0", "--probe-port", "9", "--http-port", "0"], {}, (0, 9, 0)),
        ([], {"RENDEZVOUS_PORT": "0", "RENDEZVOUS_HTTP_PORT": "8080", "RENDEZVOUS_PROBE_PORT": "off"}, (0, None, 8080)),
        (["--probe-port", "off", "--http-port", "off"], {}, (10_000, None, None)),
    ],
)
def test_the_other_ports_follow_the_first(
    argv: list[str], environ: dict[str, str], ports: tuple[int, int | None, int | None]
) -> None:
    settings = read_settings(argv, environ)
    assert (settings.port, settings.probe_port, settings.http_port) == ports


def test_proxy_protocol_is_asked_for() -> None:
    assert not read_settings([], {"RENDEZVOUS_PROXY_PROTOCOL": "false"}).proxy_protocol
    assert read_settings([], {"RENDEZVOUS_PROXY_PROTOCOL": "true"}).proxy_protocol
    assert read_settings(["--proxy-protocol", "true"], {}).proxy_protocol


def test_flags_win_over_the_environment() -> None:
    environ = {"RENDEZVOUS_HOST": "::", "RENDEZVOUS_PORT": "1", "RENDEZVOUS_GROUP_TIMEOUT_S": "2.5"}
    settings = read_settings(["--port", "2", "--max-groups", "3"], environ)
    assert settings == ServerSettings("::", 2, 3, limits=Limits(group_timeout_s=2.5, max_groups=3))


def test_a_server_may_end_by_itself() -> None:
    assert read_settings(["--max-idle-s", "600"], {}).max_idle_s == 600
    assert read_settings(["--max-idle-s", "off"], {"RENDEZVOUS_MAX_IDLE_S": "600"}).max_idle_s is None
    assert read_settings([], {"RENDEZVOUS_MAX_IDLE_S": "1.5"}).max_idle_s == 1.5


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert (
        read_settings([], {"RENDEZVOUS_PORT": "", "RENDEZVOUS_KEY": "", "RENDEZVOUS_KEY_FILE": ""}) == ServerSettings()
    )


def test_the_key_is_read_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a secret\n")
    for argv, environ in (
        ([], {"RENDEZVOUS_KEY": "a secret"}),
        ([], {"RENDEZVOUS_KEY_FILE": str(file)}),
        (["--key-file", str(file)], {}),
    ):
        settings = read_settings(argv, environ)
        assert settings.key == b"a secret"
        assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        (["--port", "70000"], {}, "argument --port: '70000' is not a port"),
        (["--port", "-1"], {}, "'-1' is not a port"),
        (["--host", "a..b"], {}, "argument --host: 'a..b' is not an address or a host's name"),
        ([], {"RENDEZVOUS_HOST": "a" * 64 + ".b"}, f"variable RENDEZVOUS_HOST: '{'a' * 64}.b' is not an address"),
        ([], {"RENDEZVOUS_PORT": "http"}, "variable RENDEZVOUS_PORT: 'http' is not a port"),
        (["--http-port", "none"], {}, "argument --http-port: 'none' is not a port"),
        ([], {"RENDEZVOUS_PROXY_PROTOCOL": "1"}, "variable RENDEZVOUS_PROXY_PROTOCOL: '1' is neither true nor false"),
        (["--max-groups", "1.5"], {}, "'1.5' is not a whole number greater than 0"),
        (["--join-rate", "nan"], {}, "'nan' is not a finite number greater than 0"),
        ([], {"RENDEZVOUS_PAIRING_TIMEOUT_S": "0"}, "variable RENDEZVOUS_PAIRING_TIMEOUT_S: '0' is not"),
        (["--max-idle-s", "0"], {}, "argument --max-idle-s: '0' is not a finite number greater than 0"),
        ([], {"RENDEZVOUS_MAX_IDLE_S": "-1"}, "variable RENDEZVOUS_MAX_IDLE_S: '-1' is not"),
        (["--ping-timeout-s", "10"], {}, "--ping-timeout-s must be greater than --ping-interval-s"),
        (["--key-file", "/no/such/file"], {}, "/no/such/file cannot be read"),
        (["--key-file", "/dev/null"], {}, "/dev/null is empty"),
        (["--key-file", "/dev/null"], {"RENDEZVOUS_KEY": "a secret"}, "which one is meant"),
    ],
)
def test_what_is_wrong_is_named(
    argv: list[str], environ: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        read_settings(argv, environ)
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert said in " ".join(shown.split())
    assert len(shown.splitlines()) <= 3  # not one for each flag that there is
    assert "a secret" not in shown


def test_help_shows_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        read_settings(["--help"], {})
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for name in HELP:
        assert f"--{name.replace('_', '-')}" in shown
