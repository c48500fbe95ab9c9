"""The environment of a process that runs an earlier commit. Git and compilers run in tests/integration."""

from pathlib import Path

from scripts.bench.commit.checkout import environ_for


def test_a_process_imports_its_own_checkout_and_keeps_its_bytecode() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "/another", "PYTHONDONTWRITEBYTECODE": "1"}
    made = environ_for(Path("/base"), given)
    assert made == {"PATH": "/bin", "PYTHONPATH": "/base", "PYTHONDONTWRITEBYTECODE": ""}
    assert given["PYTHONPATH"] == "/another"
