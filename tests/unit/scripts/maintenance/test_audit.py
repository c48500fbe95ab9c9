import json
from pathlib import Path

import pytest

from scripts.maintenance import audit

REQUESTS = {
    "name": "requests",
    "version": "2.0.0",
    "vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "fix_versions": ["2.3.0", "3.0"]}],
}
SOUND = {"name": "numpy", "version": "2.4.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "not known there"}


def tool(folder: Path, script: str) -> Path:
    """A program in the place of pip-audit."""
    file = folder / "pip-audit"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def answering(folder: Path, *packages: object) -> Path:
    (folder / "answer.json").write_text(json.dumps({"dependencies": packages, "fixes": []}))
    return tool(folder, f"cat {folder}/answer.json; exit 1")


def test_pins_are_read_without_hashes_comments_and_builds() -> None:
    text = "# x==1\nTorch==2.13.0+cpu \\\n    --hash=sha256:00\nruamel.yaml_clib==0.2.8\n    # via torch==9\n"
    assert audit.locked(text) == {"torch": {"2.13.0"}, "ruamel-yaml-clib": {"0.2.8"}}


def test_every_file_of_the_images_and_this_environment_is_covered() -> None:
    for file in (audit.ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert sum(map(len, audit.locked(text).values())) == sum("==" in line for line in text.splitlines()), file.name
    assert {"pytest", "mypy", "torch", "moto"} <= audit.installed().keys()
    assert "cosmicai" not in audit.installed()


def test_no_text_has_two_versions_of_a_package() -> None:
    assert audit.layers({"a": {"1", "2"}, "b": {"3"}, "c": {"1", "2", "3"}}) == [
        "a==1\nb==3\nc==1\n",
        "a==2\nc==2\n",
        "c==3\n",
    ]


def test_vulnerabilities_fail_the_audit_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--tool", str(answering(tmp_path, REQUESTS, SOUND, SKIPPED))]) == 1
    assert "requests 2.0.0: GHSA-1, mended in 2.3.0, 3.0\n" in capsys.readouterr().out
    assert audit.main(["--tool", str(answering(tmp_path, SOUND, SKIPPED))]) == 0
    assert "0 vulnerabilities found" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["GHSA-1", "CVE-1"])
def test_one_that_does_not_concern_us_is_accepted_by_any_of_its_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {name: "we do not call it"})
    assert list(audit.vulnerabilities([REQUESTS])) == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Traceback:\n  x\nConnectionError: no route' >&2; exit 1", "d could not be asked: ConnectionError"),
        ("exit 1", "d could not be asked: no answer"),
        ("echo '[]'", "d could not be asked: no answer"),
        ("exec sleep 60", "d took longer than 0.2 s"),
    ],
)
def test_a_database_that_does_not_answer_is_one_line(script: str, reason: str, tmp_path: Path) -> None:
    assert audit.ask({"a": {"1"}}, "d", tool(tmp_path, script), limit_s=0.2) == reason


def test_where_there_is_no_audit_the_build_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--tool", str(tmp_path / "none")]) == 0
    assert audit.main(["--tool", str(tool(tmp_path, "exit 1"))]) == 0
    absent, silent = capsys.readouterr().out.splitlines()
    assert absent.endswith("because pip-audit could not be installed")
    assert silent.endswith("could not be asked: no answer")
