import json
import os
import re
from pathlib import Path

import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import engine_files
from lambda_image.model.engine_files import Compiled, file_hash, find, folder_of


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    folder_of(path).mkdir()
    Compiled.of(path, 60.0, {"float32": {}}).write(folder_of(path))
    return path


def rewrite(path: Path, **values: object) -> None:
    record = folder_of(path) / "engine.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **values}))


def test_finds_what_was_made_from_the_checkpoint(checkpoint):
    folder, record = find(checkpoint)
    assert (folder.name, record.parameters_mb) == ("model.compiled", 60.0)


def test_the_same_weights_copied_again_are_the_same(checkpoint):
    os.utime(checkpoint, ns=(1, 1))
    find(checkpoint)


def test_the_checkpoint_may_be_absent(checkpoint):
    checkpoint.unlink()
    find(checkpoint)


def test_other_weights_of_the_same_size_are_noticed(checkpoint):
    checkpoint.write_bytes(b"WEIGHTS")
    os.utime(checkpoint, ns=(1, 1))
    with pytest.raises(CheckpointError, match="other weights"):
        find(checkpoint)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"checkpoint_bytes": 8}, "other weights"),
        ({"sources_sha256": "0"}, "another version"),
        ({"machine": "m68k"}, "is for m68k"),
        ({"unknown": 1}, "cannot be read"),
        ({"checks": {"int8": {}}}, "was made without it"),
    ],
)
def test_what_does_not_fit_is_named(checkpoint, values, said):
    rewrite(checkpoint, **values)
    with pytest.raises(CheckpointError, match=said) as caught:
        find(checkpoint)
    assert "cosmicai compile" in str(caught.value)


def test_what_is_not_there_is_said_to_be_made(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is none in .*cosmicai compile"):
        find(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("precision", "device", "command"),
    [
        ("float32", "cpu", "cosmicai compile --model .*model.safetensors"),
        ("int8", "cpu", "cosmicai compile --model .*model.safetensors --int8"),
        ("bf16", "cuda", "cosmicai compile --model .*model.safetensors --device cuda --bf16"),
    ],
)
def test_each_is_made_by_a_command_of_its_own(tmp_path, precision, device, command):
    with pytest.raises(CheckpointError, match=f"no {precision} engine for .* `{command}`"):
        find(tmp_path / "model.safetensors", precision, device)


def test_the_hash_is_the_files_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_hash(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_the_sources_decide_the_version():
    assert engine_files.sources_hash() == engine_files.sources_hash()
    assert len(engine_files.sources_hash()) == 64


def test_make_compiles_anew_when_a_source_has_changed():
    makefile = (Path(__file__).resolve().parents[4] / "Makefile").read_text()
    listed = re.search(r"^SOURCES := (.*)$", makefile, re.MULTILINE)
    assert listed
    assert listed[1].split() == list(engine_files.SOURCES)
