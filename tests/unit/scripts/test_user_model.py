from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import CheckpointError, UsageError
from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model import engine as engines
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts.user_model import UserModel, advice, usable_model
from tests.data import networks
from tests.unit.lambda_image.model.calibrations import calibration

SMALL = {"depth": 1, "image_features": 24, "magnitude_features": 16, "head_features": 8}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return RedshiftModel(ModelConfig(**SMALL)).state_dict()


@pytest.mark.parametrize("form", ["safetensors", "bfloat16", "pt", "legacy"])
def test_a_state_dict_in_any_format_is_used(weights: dict[str, torch.Tensor], form: str, tmp_path: Path):
    given = tmp_path / "given"
    if form == "bfloat16":
        safetensors.torch.save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, given)
    elif form == "safetensors":
        safetensors.torch.save_file(weights, given)
    else:
        torch.save(weights, given, _use_new_zipfile_serialization=form == "pt")
    model = checkpoint.load(usable_model(given, tmp_path).path)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, weights[name].bfloat16().float() if form == "bfloat16" else weights[name])


def test_a_converted_checkpoint_is_used_as_it_is(tmp_path: Path):
    assert usable_model(SHIPPED_MODEL, tmp_path) == UserModel(SHIPPED_MODEL, PUBLISHED)
    assert usable_model(None, tmp_path) == UserModel(SHIPPED_MODEL, PUBLISHED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (ModelConfig(bands=6, image_size=64, **SMALL), Sizes(6, 64, 6)),
        (ModelConfig(bands=1, image_size=16, **SMALL), Sizes(1, 16, 1)),
        (ModelConfig(**{**SMALL, "magnitude_features": 0}), Sizes(5, 32, 0)),
    ],
)
def test_the_sizes_are_those_of_the_checkpoints_tensors(config: ModelConfig, sizes: Sizes, tmp_path: Path):
    torch.manual_seed(3)
    network = RedshiftModel(config).eval()
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    model = usable_model(tmp_path / "mine.pt", tmp_path)
    assert model.sizes == sizes
    loaded = checkpoint.load(model.path)
    images, magnitudes = torch.rand(3, *sizes.image), torch.rand(3, sizes.magnitudes)
    with torch.inference_mode():
        np.testing.assert_array_equal(loaded(images, magnitudes), network(images, magnitudes))
    assert usable_model(model.path, tmp_path) == model


@pytest.mark.parametrize("sizes", [Sizes(6, 32, 6), Sizes(5, 64, 5), Sizes(5, 32, 9)])
def test_sample_galaxies_are_refused_to_a_model_that_takes_others(sizes: Sizes):
    with pytest.raises(UsageError, match=r"^--model takes images .* and the sample galaxies have .*: give --data$"):
        UserModel(SHIPPED_MODEL, sizes).check_sample()


def test_a_model_without_magnitudes_takes_sample_galaxies():
    UserModel(SHIPPED_MODEL, Sizes(5, 32, 0)).check_sample()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off, or torch.save has not written it"),
        (b"\x05\0\0\0\0\0\0\0{", "fetch it again"),
    ],
)
def test_what_is_no_checkpoint_is_said_before_anything_starts(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        usable_model(tmp_path / "model.pt", tmp_path)


@pytest.mark.parametrize(("given", "name"), [("a/mine.pt", "mine"), ("mine.safetensors", "mine-converted")])
def test_advice_names_the_users_file(given: str, name: str):
    assert advice(None, SHIPPED_MODEL, "why") == advice(Path(given), Path(given), "why") == "why"
    said = advice(Path(given), Path("/tmp/scratch/model.safetensors"), "why")
    assert f"`cosmicai convert {given} {name}.safetensors`" in said
    assert f"`cosmicai compile --model {name}.safetensors`" in said


def test_advice_can_be_typed_as_it_stands():
    said = advice(Path("my own.pt"), Path("/tmp/scratch/model.safetensors"), "why")
    assert "`cosmicai convert 'my own.pt' 'my own.safetensors'`" in said


def test_advice_about_error_bars_names_the_users_file():
    reason = "no error bars: /tmp/scratch/model.calibration.json was made for other weights"
    said = advice(Path("a/mine.pt"), Path("/tmp/scratch/model.safetensors"), reason)
    assert said == "no error bars: a/mine.calibration.json was made for other weights"


def test_a_calibration_for_other_weights_goes_along_so_that_it_is_told(
    weights: dict[str, torch.Tensor], tmp_path: Path
):
    torch.save(weights, tmp_path / "mine.pt")
    calibration().write(tmp_path / "mine.calibration.json")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told: list[str] = []
    engines.load(usable_model(tmp_path / "mine.pt", scratch).path, 1, on_fallback=told.append)
    assert "was made for other weights" in told[-1]


def test_a_damaged_calibration_is_not_looked_at_where_another_is_made(weights: dict[str, torch.Tensor], tmp_path: Path):
    torch.save(weights, tmp_path / "mine.pt")
    (tmp_path / "mine.calibration.json").write_text("{")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(CheckpointError, match="make it again with `cosmicai calibrate`"):
        usable_model(tmp_path / "mine.pt", scratch)
    engines.load(usable_model(tmp_path / "mine.pt", scratch, calibrated=False).path, 1, error_bars=False)


def test_a_network_in_onnx_is_used_as_it_is(tmp_path: Path):
    (tmp_path / "mine.onnx").write_bytes(networks.linear().SerializeToString())
    assert usable_model(tmp_path / "mine.onnx", tmp_path) == UserModel(tmp_path / "mine.onnx", Sizes(3, 8, 0))
    (tmp_path / "mine.onnx").write_bytes(networks.mixing().SerializeToString())
    with pytest.raises(CheckpointError, match="depends on the others"):
        usable_model(tmp_path / "mine.onnx", tmp_path)
