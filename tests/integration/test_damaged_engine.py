"""A compiled engine of which a file has changed since it was compiled."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import engine
from lambda_image.model.engine_files import LIBRARY, folder_of, weights_of


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40_000])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4))


@pytest.fixture
def copied(compiled_checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / compiled_checkpoint.name
    path.symlink_to(compiled_checkpoint)
    shutil.copytree(folder_of(compiled_checkpoint), folder_of(path))
    return path


@pytest.mark.parametrize("damage", [flip, cut, grow])
@pytest.mark.parametrize("file", ["library", "weights"])
def test_a_damaged_engine_is_not_used_and_the_reference_takes_its_place(
    copied: Path, file: str, damage: Callable[[Path], None]
) -> None:
    folder = folder_of(copied)
    path = folder / LIBRARY if file == "library" else weights_of(folder, "float32")
    damage(path)
    said: list[str] = []
    made = engine.load(copied, 1, on_damage=said.append)
    assert made.name == "eager"
    (reason,) = said
    assert reason.startswith(f"eager PyTorch predicts: {path} is damaged: it is not what was compiled; make it again")
    with pytest.raises(CheckpointError, match=f"{path} is damaged"):
        engine.load(copied, 1, "fast")


def test_without_pytorch_a_damaged_engine_is_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(weights_of(folder_of(copied), "float32"))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"is damaged.*PyTorch, which would predict, is not installed") as caught:
        engine.load(copied, 1)
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_missing_is_not_called_damaged(compiled_checkpoint: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.symlink_to(compiled_checkpoint)
    said: list[str] = []
    assert engine.load(alone, 1, on_damage=said.append).name == "eager"
    assert not said
