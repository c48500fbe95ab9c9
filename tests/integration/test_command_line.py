"""The command as a process, also where extras are not installed, and on terminals that lack signs."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = (
    *("rich", "aiohttp", "moto", "prometheus_client", "uvloop", "sklearn", "matplotlib", "onnx", "onnxruntime"),
    *("astropy", "h5py", "pyarrow", "yaml", "docker"),
)

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

blocked, arguments = sys.argv[1].split(","), sys.argv[2:]
sys.meta_path.insert(0, Blocked())
from scripts.cli import main
raise SystemExit(main(arguments))
"""


def cosmicai(blocked: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where these modules are not installed."""
    command = [sys.executable, "-c", WITHOUT, ",".join(blocked), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_without_the_extras_or_names_the_one_it_needs(command: str):
    ended = cosmicai(OPTIONAL, command, "--help")
    if ended.returncode:
        assert ended.returncode == 1
        assert ended.stderr == (
            "cosmicai: this command needs the extra \"local\" (rich is not installed): pip install -e '.[local]'\n"
        )
    else:
        assert f"example: cosmicai {command}" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("module", "extra"), [("aiohttp", "local"), ("moto", "local"), ("prometheus_client", "server")]
)
def test_what_only_the_processes_need_that_a_command_starts_is_named_before_they_start(
    tmp_path: Path, module: str, extra: str
):
    ended = cosmicai([module], "demo", "--world-size", "1", "--out", str(tmp_path / "out"))
    line = (
        f"cosmicai: this command needs the extra \"{extra}\" ({module} is not installed): pip install -e '.[{extra}]'\n"
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", line)


def test_formats_of_catalogues_are_needed_for_a_catalogue_only(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("[]")
    ended = cosmicai(["pyarrow", "astropy"], "results", str(tmp_path), "--out", str(tmp_path.parent / "p.csv"))
    assert ended.returncode == 1
    assert ended.stderr.startswith('cosmicai: this command needs the extra "formats" (pyarrow is not installed)')
    ended = cosmicai(["pyarrow", "astropy"], "results", str(tmp_path))
    assert ended.stderr.startswith("cosmicai: ")


def test_what_every_installation_has_is_named_too():
    ended = cosmicai(["numpy"], "sample", "galaxies.pt")
    assert ended.returncode == 1
    assert ended.stderr == "cosmicai: this command needs numpy, which is not installed: pip install -e .\n"


def test_the_list_of_commands_says_which_cannot_run():
    ended = cosmicai(["rich"], "--help")
    assert ended.returncode == 0
    words = " ".join(ended.stdout.split())
    assert 'demo (this command needs the extra "local"' in words
    assert "convert convert a checkpoint" in words


def test_the_module_is_the_command():
    answer = subprocess.run([sys.executable, "-m", "scripts", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in answer.stdout


SHOW = """
import sys
from rich.console import Console
from scripts import cli, sample
from scripts.runs.outcome import show
from scripts.runs.run_progress import RunProgress

def run(args):
    show("R² of Δz … ━")
    print("µ")
    RunProgress(sys.stdout, []).print("Ωmega")
    print("é", file=sys.stderr)
    return 0

sample.run = run
sys.exit(cli.main(["sample", "x.pt"]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_whose_encoding_lacks_a_sign_gets_a_replacement(encoding: str):
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    answer = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, env=environ, cwd=ROOT)
    assert (answer.returncode, answer.stdout.count(b"\n")) == (0, 3), answer.stderr.decode()
    assert ("R²" if encoding != "ascii" else "R?").encode(encoding) in answer.stdout
    assert "Traceback" not in answer.stderr.decode(encoding)
