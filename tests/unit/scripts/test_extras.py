import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from scripts.cli import COMMANDS
from scripts.extras import remedy, require

ROOT = Path(__file__).resolve().parents[3]
OPTIONAL = (
    *("rich", "aiohttp", "moto", "prometheus_client", "uvloop", "sklearn", "matplotlib", "onnx", "onnxruntime"),
    *("astropy", "h5py", "pyarrow"),
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
    assert ended.stderr.startswith("cosmicai: InvalidEvent: ")


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


def test_a_mistake_of_ours_is_not_hidden():
    assert remedy(ModuleNotFoundError("No module named 'scripts.nothing'", name="scripts.nothing")) is None
    assert remedy(ModuleNotFoundError("no name")) is None


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("rich", "local"),
        ("uvloop", "server"),
        ("astropy.io.fits", "formats"),
        ("pyarrow.parquet", "formats"),
        ("sklearn", "train"),
        ("onnxruntime.capi", "onnx"),
        ("mypy", "dev"),
    ],
)
def test_the_extra_is_read_from_the_projects_metadata(module: str, extra: str):
    words = remedy(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert words is not None
    assert f'needs the extra "{extra}"' in words


@pytest.mark.parametrize("module", ["boto3", "botocore.config", "arro3.core", "torch"])
def test_what_is_required_always_needs_no_extra(module: str):
    words = remedy(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert words is not None
    assert words.endswith("which is not installed: pip install -e .")


def test_without_metadata_the_readmes_extra_is_named():
    def requires(project: str) -> list[str]:
        raise metadata.PackageNotFoundError(project)

    words = remedy(ModuleNotFoundError("No module named 'numpy'", name="numpy"), requires)
    assert words is not None
    assert words.endswith("pip install -e '.[local]'")
    assert remedy(ModuleNotFoundError("No module named 'scripts.nothing'", name="scripts.nothing"), requires) is None


def test_what_is_required_is_looked_for_and_not_imported():
    require("json", "sqlite3")
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_the_kind'") as missing:
        require("json", "nothing_of_the_kind")
    assert missing.value.name == "nothing_of_the_kind"
