"""Every branch of what decides is taken by an example; properties come on top of that."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DECIDING = (
    "admission",
    "counts",
    "deadlines",
    "effects",
    "group",
    "groups",
    "limits",
    "pairing",
    "probes",
    "protocol",
    "proxy_protocol",
    "registry",
    "relays",
    "settings",
)


def test_every_branch_of_what_decides_is_taken(tmp_path: Path) -> None:
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        Path(__file__).parent,
        f"--ignore={__file__}",
        "-m",
        "not hypothesis",
    ]
    measured = [f"--cov=rendezvous_server.{module}" for module in DECIDING]
    report = ["--cov-branch", "--cov-fail-under=100", "--cov-report=term-missing:skip-covered"]
    command = [*tests, *measured, *report, "-p", "no:cacheprovider"]
    environ = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
