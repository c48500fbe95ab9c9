from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lambda_image.errors import CheckpointError, UsageError
from lambda_image.model import checkpoint
from lambda_image.model.architecture import RedshiftModel
from lambda_image.model.engine_files import file_hash
from scripts import convert
from tests import small_checkpoints
from tests.data import networks
from tests.unit.scripts.flags import run_command

SMALL = replace(small_checkpoints.SMALL, magnitude_features=256)  # whose matrices weigh more than its file's header


run = partial(run_command, convert)


@pytest.fixture
def state_dict(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(RedshiftModel(SMALL).state_dict(), tmp_path / "state.pt")
    return tmp_path / "state.pt"


def test_converts_and_says_what_it_wrote(state_dict, tmp_path, capsys):
    out = tmp_path / "model.safetensors"
    assert run(state_dict, out) == 0
    model = checkpoint.load(out)
    assert model.config == SMALL
    printed = capsys.readouterr().out
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in printed
    assert file_hash(out) in printed


def test_float16_is_smaller(state_dict, tmp_path):
    run(state_dict, tmp_path / "32.safetensors")
    run(state_dict, tmp_path / "16.safetensors", "--float16")
    sizes = [(tmp_path / name).stat().st_size for name in ("16.safetensors", "32.safetensors")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_failure_writes_nothing(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="neither a module nor a state dict"):
        run(tmp_path / "list.pt", tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["list.pt"]


def test_the_checkpoint_itself_is_never_overwritten(state_dict, tmp_path):
    content = state_dict.read_bytes()
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        run(state_dict, state_dict)
    same = tmp_path / "same.safetensors"
    same.symlink_to(state_dict)
    with pytest.raises(UsageError, match="is the checkpoint itself"):
        run(state_dict, same)
    assert state_dict.read_bytes() == content


def test_a_file_that_is_there_is_replaced_only_where_that_is_asked_for(state_dict, tmp_path):
    out = tmp_path / "model.safetensors"
    out.write_text("another model")
    with pytest.raises(UsageError, match=r"model\.safetensors exists: name another file, or give --overwrite"):
        run(state_dict, out)
    assert out.read_text() == "another model"
    assert run(state_dict, out, "--overwrite") == 0
    assert checkpoint.load(out).config == SMALL


def test_a_state_dict_in_safetensors_gives_the_same_model(state_dict, tmp_path):
    weights = torch.load(state_dict)
    safetensors.torch.save_file(weights, tmp_path / "state.safetensors")
    run(state_dict, tmp_path / "from_pt.safetensors")
    run(tmp_path / "state.safetensors", tmp_path / "from_safetensors.safetensors")
    ours, theirs = (checkpoint.load(tmp_path / f"from_{name}.safetensors") for name in ("pt", "safetensors"))
    assert ours.config == theirs.config
    expected = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_what_is_converted_already_is_told_so(state_dict, tmp_path):
    run(state_dict, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"converted already: use it as it is"):
        run(tmp_path / "model.safetensors", tmp_path / "again.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 and no more"])
def test_what_is_no_archive_is_told_so(content, tmp_path):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cut off, or torch\.save has not written it"):
        run(tmp_path / "model.pt", tmp_path / "model.safetensors")


def test_a_network_in_onnx_is_checked_and_copied(tmp_path, capsys):
    given = tmp_path / "mine.onnx"
    given.write_bytes(networks.with_magnitudes().SerializeToString())
    assert run(given, tmp_path / "checked.onnx") == 0
    assert (tmp_path / "checked.onnx").read_bytes() == given.read_bytes()
    assert "an ONNX network for images [3, 8, 8] and 2 magnitudes in" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        run(given, tmp_path / "checked.safetensors")
    with pytest.raises(UsageError, match="--float16 is for checkpoints"):
        run(given, tmp_path / "half.onnx", "--float16")


def test_a_network_that_no_rank_can_use_is_not_copied(tmp_path):
    given = tmp_path / "mine.onnx"
    given.write_bytes(networks.mixing().SerializeToString())
    with pytest.raises(CheckpointError, match="depends on the others in its batch"):
        run(given, tmp_path / "checked.onnx")
    assert not (tmp_path / "checked.onnx").exists()
