"""What docker-compose.yml says. tests/docker runs it where there is an engine."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSITION: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
FUNCTIONS = ("init", "rank", "summarize")


def variables_of(service: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[service].get("environment", {})
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_whose_container_is_killed_comes_back(function: str) -> None:
    assert SERVICES[function]["restart"] == "on-failure"


def test_down_finds_every_container() -> None:
    """It leaves those of profiles behind."""
    assert [name for name, service in SERVICES.items() if "profiles" in service] == []


def test_a_path_of_the_users_that_is_not_there_is_refused_and_not_made() -> None:
    given = {
        volume["source"]: volume
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if isinstance(volume, dict) and volume["type"] == "bind"
    }
    assert given.keys() == {"${MODEL:-/dev/null}", "${DATA:-/dev/null}"}
    assert all(volume["bind"] == {"create_host_path": False} for volume in given.values())
    short = [
        volume for service in SERVICES.values() for volume in service.get("volumes", ()) if isinstance(volume, str)
    ]
    assert not [volume for volume in short if "MODEL" in volume or "DATA" in volume]


def test_the_server_and_the_ranks_have_one_key_that_nobody_else_sees() -> None:
    file = variables_of("rendezvous")["RENDEZVOUS_KEY_FILE"]
    assert variables_of("rank")["RENDEZVOUS_KEY_FILE"] == file
    with_key = {name for name, service in SERVICES.items() if "key" in str(service.get("volumes"))}
    assert with_key == {"rendezvous", "rank"}
    assert not [name for name in SERVICES if name != "rendezvous" and "RENDEZVOUS_KEY" in variables_of(name)]


def started(folder: Path, given: str = "") -> tuple[str, str]:
    """The key that the server's container starts with, and what its process could see of the variable."""
    program = folder / "bin" / "python"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\nprintf "%s" "${GIVEN_KEY-unset}"\n')
    program.chmod(0o755)
    shell, flag, script = SERVICES["rendezvous"]["entrypoint"]
    environ = {"PATH": f"{program.parent}:{os.environ['PATH']}", "GIVEN_KEY": given}
    environ["RENDEZVOUS_KEY_FILE"] = str(folder / "key")
    done = subprocess.run(
        [shell, flag, script.replace("$$", "$")], env=environ, capture_output=True, text=True, check=True
    )
    assert (folder / "key").stat().st_mode & 0o077 == 0
    return (folder / "key").read_text(), done.stdout


def test_a_key_is_drawn_once_and_one_that_is_given_takes_its_place(tmp_path: Path) -> None:
    drawn, seen = started(tmp_path)
    assert len(bytes.fromhex(drawn)) == 32
    assert started(tmp_path) == (drawn, seen) == (drawn, "unset")
    assert started(tmp_path, "mine") == ("mine", "unset")
    (tmp_path / "other").mkdir()
    assert started(tmp_path / "other")[0] != drawn
