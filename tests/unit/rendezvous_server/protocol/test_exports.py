"""The package's front door: every name in `__all__`, in the server's image and in a rank's, which has a part of it."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rendezvous_server import protocol

PACKAGE = Path(protocol.__file__).parent
ROOT = PACKAGE.parents[1]
OF_THE_SERVER = {
    *("HelloReceived", "HttpRequested", "JoinRequested", "LeaveReceived", "PairingRequested", "ProbeReceived"),
    *("Refused", "RelayRequested", "ServerConnection", "ServerEvent", "ServerState", "WithdrawalRequested"),
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with those files of the server that the Dockerfile of a rank's image copies."""
    dockerfile = (ROOT / "lambda_image" / "Dockerfile").read_text()
    for name in set(re.findall(r"rendezvous_server/[\w/]+\.py", dockerfile)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


IMPORT = """
try:
    from rendezvous_server.protocol import {0}
except ImportError as error:
    print("{0}", error, sep=": ")
"""


def not_imported(names: set[str], folder: Path) -> dict[str, str]:
    """Which of these names a program in `folder` cannot import, and why."""
    code = "".join(map(IMPORT.format, sorted(names)))
    # -I leaves out this process's own path, so that nothing but the folder is found.
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return dict(line.split(": ", 1) for line in answer.stdout.splitlines())  # type: ignore[misc]


def test_every_name_can_be_imported() -> None:
    assert not_imported(set(protocol.__all__), ROOT) == {}


def test_a_rank_imports_every_name_but_the_servers_and_is_told_what_its_image_lacks(image: Path) -> None:
    assert {path.name for path in (image / "rendezvous_server" / "protocol").iterdir()} == {
        file.name for file in PACKAGE.glob("*.py")
    } - {"server.py", "pairing.py"}
    lacking = "No module named 'rendezvous_server.protocol.server'"
    assert not_imported(set(protocol.__all__), image) == dict.fromkeys(OF_THE_SERVER, lacking)


def test_a_rank_does_not_import_the_servers_side() -> None:
    code = "import sys, rendezvous_server.protocol; print('rendezvous_server.protocol.server' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout == "False\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = protocol.Nothing


def test_what_is_imported_for_others_is_listed() -> None:
    """Everything that the package imports for others is in `__all__`, and nothing else is."""
    tree = ast.parse(Path(protocol.__file__).read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rendezvous_server.protocol.")
        for alias in node.names
    }
    assert names == set(protocol.__all__)
    assert len(protocol.__all__) == len(names)


def public() -> list[tuple[str, object]]:
    """Exported classes and functions, and what classes of the package offer."""
    found = []
    for name in protocol.__all__:
        thing = getattr(protocol, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            found.append((name, thing))
        if inspect.isclass(thing):
            for base in (base for base in thing.__mro__ if base.__module__.startswith("rendezvous_server.")):
                members = ((key, member) for key, member in vars(base).items() if not key.startswith("_"))
                found += [
                    (f"{name}.{key}", m)
                    for key, m in members
                    if isinstance(m, property | classmethod) or inspect.isfunction(m)
                ]
    return found


@pytest.mark.parametrize(("name", "thing"), public())
def test_every_public_name_has_a_sentence(name: str, thing: object) -> None:
    text = inspect.getdoc(thing) or ""
    first = text.partition("\n\n")[0].replace("\n", " ")
    assert re.search(r"[.!]$|\.\s", first), f"{name}: {first!r}"
    generated = re.match(rf"{name.rpartition('.')[2]}\(", text)  # what dataclasses and enums write themselves
    assert not generated, name


def test_dir_shows_what_is_not_imported_yet() -> None:
    assert set(protocol.__all__) <= set(dir(protocol))
