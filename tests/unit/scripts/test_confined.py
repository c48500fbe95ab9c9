from pathlib import Path

import pytest

from lambda_image.data.sizes import Sizes
from lambda_image.errors import CheckpointError
from scripts.confined import check_confined
from tests.data import networks


def written(path: Path, made: object) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def test_a_sound_network_is_passed_with_its_sizes(tmp_path: Path):
    assert check_confined(written(tmp_path / "mine.onnx", networks.with_magnitudes())) == Sizes(3, 8, 2)


def test_what_is_wrong_is_said_of_the_file_as_the_user_named_it(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("mine.onnx"), networks.mixing())
    with pytest.raises(CheckpointError, match=r"^model mine\.onnx: what it says of a galaxy depends on the others"):
        check_confined(Path("mine.onnx"))


def test_a_network_that_takes_too_long_is_ended(tmp_path: Path):
    path = written(tmp_path / "mine.onnx", networks.linear())
    with pytest.raises(CheckpointError, match=r"took longer than 0\.01 s"):
        check_confined(path, timeout_s=0.01)


def test_a_process_without_memory_to_begin_with_is_a_refusal(tmp_path: Path):
    path = written(tmp_path / "mine.onnx", networks.linear())
    with pytest.raises(CheckpointError, match=r"mine\.onnx: .*(memory|MB)"):
        check_confined(path, memory_bytes=1 << 20)
