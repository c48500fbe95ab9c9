"""`scripts/compose.sh` with a `docker` that only says what it was asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lambda_image.events import MAX_BATCH_SIZE
from scripts.execution import MAX_RANKS

SCRIPT = Path(__file__).parents[3] / "scripts" / "compose.sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository at `repository/`, and a `docker` that has Compose."""
    repository = tmp_path / "a repository"
    (repository / "scripts").mkdir(parents=True)
    (repository / "models").mkdir()
    shutil.copy(SCRIPT, repository / "scripts")
    for name in ("galaxies.pt", "mine.onnx", "models/mine.pt", "models/mine.calibration.json"):
        (repository / name).touch()
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\n[ "$2" = version ] || { pwd; echo "$*"; }\n')
    docker.chmod(0o755)
    return tmp_path


def compose(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **variables}
    command = [str(folder / "a repository" / "scripts" / "compose.sh")]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"DATA": "galaxies.pt", "WORLD_SIZE": "8", "BATCH_SIZE": str(MAX_BATCH_SIZE), "OUT": "./results"},
        {"CHECKPOINT": "models/mine.pt", "TOLERANCE": "3e-5", "DATA": "."},
        {"CHECKPOINT": "models/mine.pt", "CALIBRATION": "models/mine.calibration.json"},
        {"LAMBDA_TARGET": "onnx", "ONNX_MODEL": "mine.onnx", "ONNX_CALIBRATION": "models/mine.calibration.json"},
        {"LAMBDA_TARGET": "onnx", "MODEL": "./mine.onnx", "WORLD_SIZE": str(MAX_RANKS)},
        {"LAMBDA_TARGET": "slim", "ONNX_MODEL": ""},
        {"MODEL": "./models/mine.pt", "LAMBDA_TARGET": "full"},
    ],
)
def test_compose_is_started_where_its_file_is(folder: Path, variables: dict[str, str]):
    answer = compose(folder, **variables)
    assert answer.stdout.splitlines() == [
        str(folder / "a repository"),
        "compose up --build --exit-code-from run",
    ]
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WORLD_SIZE": "many"}, f"WORLD_SIZE is 'many'; allowed: a whole number from 1 to {MAX_RANKS}"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'; allowed"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1'; allowed"),
        ({"WORLD_SIZE": str(MAX_RANKS + 1)}, f"WORLD_SIZE is '{MAX_RANKS + 1}'; allowed"),
        ({"BATCH_SIZE": "99999999999999999999"}, f"allowed: a whole number from 1 to {MAX_BATCH_SIZE}"),
        ({"RANK_MEMORY_MB": "2g"}, "RANK_MEMORY_MB is '2g'; allowed"),
        ({"DATA": "nowhere.pt"}, "DATA nowhere.pt does not exist: name a dataset, or a folder of partitions"),
        ({"CHECKPOINT": "models/nowhere.pt"}, "CHECKPOINT models/nowhere.pt does not exist: name weights in models/"),
        ({"CHECKPOINT": "/tmp/mine.pt"}, "CHECKPOINT /tmp/mine.pt is not in this folder"),
        ({"CALIBRATION": "models/nowhere.json"}, "CALIBRATION models/nowhere.json does not exist: name what cosmicai"),
        ({"ONNX_CALIBRATION": "../mine.calibration.json"}, "ONNX_CALIBRATION ../mine.calibration.json is not in this"),
        ({"ONNX_MODEL": "models/../../mine.onnx"}, "is not in this folder"),
        ({"MODEL": "./nowhere.onnx", "LAMBDA_TARGET": "onnx"}, "MODEL ./nowhere.onnx does not exist"),
        ({"MODEL": "./mine.onnx"}, "MODEL ./mine.onnx needs LAMBDA_TARGET=onnx"),
        ({"MODEL": "./models/mine.pt", "LAMBDA_TARGET": "slim"}, "needs PyTorch, which LAMBDA_TARGET=slim leaves out"),
        ({"LAMBDA_TARGET": "pytorch"}, "LAMBDA_TARGET is 'pytorch'; allowed: full, slim, onnx"),
        ({"OUT": "results"}, "OUT is 'results'; allowed: a folder with a / in it, as ./results"),
    ],
)
def test_a_wrong_variable_is_one_line_before_anything_is_built(folder: Path, variables: dict[str, str], words: str):
    answer = compose(folder, **variables)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("cosmicai: ")
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_without_compose_it_says_what_is_needed(folder: Path):
    (folder / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")
    assert "Docker Compose v2 is needed" in compose(folder).stderr
