from pathlib import Path

import pytest
import safetensors.torch
import torch

from lambda_image.errors import CheckpointError
from lambda_image.model import SHIPPED_MODEL, checkpoint
from scripts.cli import main
from scripts.demo import advice, usable_model
from scripts.execution import MAX_RANKS
from tests.small_checkpoints import small_model


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_size_is_checked_before_anything_starts(size: int, tmp_path: Path, capsys):
    assert main(["demo", "--batch-size", str(size), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert f"--batch-size is {size}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ranks", [0, MAX_RANKS + 1, 20_000])
def test_more_ranks_than_a_machine_has_room_for_are_refused_before_anything_starts(ranks: int, tmp_path: Path, capsys):
    assert main(["demo", "--world-size", str(ranks), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert f"--world-size is {ranks}; allowed: a whole number from 1 to {MAX_RANKS}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return small_model().state_dict()


@pytest.mark.parametrize("form", ["safetensors", "bfloat16", "pt", "legacy"])
def test_a_state_dict_in_any_format_is_used(weights: dict[str, torch.Tensor], form: str, tmp_path: Path):
    given = tmp_path / "given"
    if form == "bfloat16":
        safetensors.torch.save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, given)
    elif form == "safetensors":
        safetensors.torch.save_file(weights, given)
    else:
        torch.save(weights, given, _use_new_zipfile_serialization=form == "pt")
    model = checkpoint.load(usable_model(given, tmp_path))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, weights[name].bfloat16().float() if form == "bfloat16" else weights[name])


def test_a_converted_checkpoint_is_used_as_it_is(tmp_path: Path):
    assert usable_model(SHIPPED_MODEL, tmp_path) == SHIPPED_MODEL
    assert usable_model(None, tmp_path) == SHIPPED_MODEL
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("given", "name"), [("a/mine.pt", "mine"), ("mine.safetensors", "mine-converted")])
def test_advice_names_the_users_file(given: str, name: str):
    assert advice(None, SHIPPED_MODEL, "why") == advice(Path(given), Path(given), "why") == "why"
    said = advice(Path(given), Path("/tmp/scratch/model.safetensors"), "why")
    assert f"`cosmicai convert {given} {name}.safetensors`" in said
    assert f"`cosmicai compile --model {name}.safetensors`" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no checkpoint"),
        (b"", "cut off, or torch.save has not written it"),
        (b"\x05\0\0\0\0\0\0\0{", "fetch it again"),
    ],
)
def test_what_is_no_checkpoint_is_said_before_anything_starts(content: bytes | None, message: str, tmp_path: Path):
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        usable_model(tmp_path / "model.pt", tmp_path)
