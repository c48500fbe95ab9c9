import numpy as np
import pytest
import torch

from lambda_image.errors import CheckpointError, InvalidEvent
from lambda_image.model import SHIPPED_MODEL, engine, engine_files
from lambda_image.model.eager import Eager
from lambda_image.model.engine_files import Compiled
from lambda_image.model.fast import Fast


def test_auto_is_the_compiled_engine_where_there_is_one(compiled_checkpoint):
    said = []
    made = engine.load(compiled_checkpoint, 1, say=said.append)
    assert isinstance(made, Fast)
    assert made.parameters_mb == pytest.approx(60.6647, abs=1e-4)
    assert not said


def test_auto_is_pytorch_elsewhere_and_says_why(compiled_checkpoint, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.symlink_to(compiled_checkpoint)
    said = []
    assert isinstance(engine.load(alone, 1, say=said.append), Eager)
    assert "there is none in" in said[0]


def test_fast_is_no_other(tmp_path):
    with pytest.raises(CheckpointError, match="no float32 engine"):
        engine.load(tmp_path / "model.safetensors", 1, "fast")


def test_both_answer_the_same(compiled_checkpoint, seeded_model):
    fast, eager = (
        engine.load(compiled_checkpoint, 1, name).predict(seeded_model.images, seeded_model.magnitudes)
        for name in ("fast", "eager")
    )
    assert fast.dtype == eager.dtype == np.float32
    assert fast.shape == eager.shape == (32,)
    assert np.abs(fast - eager).max() <= 2 * seeded_model.tolerance  # either may be off by this much


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    path.symlink_to(SHIPPED_MODEL)
    return path


def record(path, device, *precisions):
    folder = engine_files.folder_of(path, device)
    folder.mkdir()
    Compiled.of(path, 60.0, {precision: {} for precision in precisions}).write(folder)


def test_bf16_answers_for_weights_that_it_was_checked_on(weights):
    with pytest.raises(CheckpointError, match=r"no bf16 engine .* `cosmicai compile --model .* --bf16`"):
        engine.load(weights, 1, "bf16")
    record(weights, "cpu", "float32", "bf16")
    made = engine.load(weights, 1, "bf16")
    assert (made.name, made.device) == ("bf16", "cpu")


def test_a_check_on_the_processor_says_nothing_of_a_gpu(weights):
    record(weights, "cpu", "float32", "bf16")
    with pytest.raises(CheckpointError, match=r"`cosmicai compile --model .* --device cuda --bf16`"):
        engine.load(weights, 1, "bf16", device="cuda")


def test_on_a_gpu_pytorch_answers(weights):
    record(weights, "cuda", "float32", "bf16")
    for name, expected in (("auto", "eager"), ("eager", "eager"), ("bf16", "bf16")):
        if torch.cuda.is_available():
            made = engine.load(weights, 1, name, device="cuda")
            assert (made.name, made.device) == (expected, "cuda")
        else:
            with pytest.raises(InvalidEvent, match="a GPU is asked for"):
                engine.load(weights, 1, name, device="cuda")
