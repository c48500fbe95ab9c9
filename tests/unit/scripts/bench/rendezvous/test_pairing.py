import subprocess
from pathlib import Path

import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.rendezvous.pairing import PairingCase, PairingLoad, compiled_clients, wrong_introduction
from scripts.bench.servers import Server


def test_a_case_in_words():
    assert str(PairingCase(50)) == "50 in flight"
    assert str(PairingCase(2, silent=300, slow=100)) == "2 in flight beside 300 silent and 100 slow clients"
    assert not PairingCase(50).crowded
    assert PairingCase(50, bytewise=2).crowded


def test_what_is_wrong_with_an_introduction_is_told_in_words():
    first, second = "7f0000019c40" + "0000", "7f0000019c41" + "0000"
    assert wrong_introduction(f"={first}{second},{second}{first},,") == ""
    assert "was introduced to its partner as 127.0.0.1:40000" in wrong_introduction(
        f"={first}{first},{second}{first},,"
    )
    assert "was told that it is at 127.0.0.1:40000" in wrong_introduction(
        f"={first}{second},{second}{first},{second[:12]},{second[:12]}"
    )


def program(folder: Path, script: str) -> Path:
    file = folder / "clients"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_figures_are_what_the_clients_counted(tmp_path: Path):
    clients = program(tmp_path, "echo '2.0 0.5 6 2 7 12'; echo '1000.0 3000.0 2000.0'; echo late; echo ='00,00,,'")
    load = PairingLoad(clients, Server("a", "127.0.0.1", 1, 1), PairingCase(2, 5, 8, 4), 3, "test")
    figures = load.run()
    assert (figures["pairings"], figures["median_ms"], figures["max_ms"]) == (3, 2.0, 3.0)
    assert (figures["pairings_per_s"], figures["slow_pairings_per_s"]) == (1.5, 3.0)
    assert (figures["bytewise_pairings_per_s"], figures["silent_again"]) == (1.0, 7)
    assert figures["cpu_us_per_pairing"] == pytest.approx(0.5e6 / (3 + 6 + 2))
    assert load.faults == ["late", "an answer of 1 bytes, not 16", "and 10 more"]


def test_clients_that_fail_say_why(tmp_path: Path):
    load = PairingLoad(program(tmp_path, "echo no socket >&2; exit 1"), Server("a", "h", 1), PairingCase(2), 3, "test")
    with pytest.raises(BenchmarkError, match="no load for h:1: no socket"):
        load.run()


def test_more_bytewise_clients_than_there_are_first_bytes(tmp_path: Path):
    load = PairingLoad(tmp_path, Server("a", "h", 1), PairingCase(2, bytewise=400), 3, "test")
    with pytest.raises(BenchmarkError, match="at most 200"):
        load.run()


@pytest.mark.parametrize(("compiler", "said"), [("false", "cannot be compiled"), ("/no/compiler", "No such file")])
def test_a_compiler_that_fails_is_one_line(compiler: str, said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(BenchmarkError, match=said), compiled_clients():
        raise subprocess.SubprocessError("it was compiled")
