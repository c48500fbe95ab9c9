import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import engine
from lambda_image.model.eager import Eager
from lambda_image.model.fast import Fast


def test_auto_is_the_compiled_engine_where_there_is_one(compiled_golden):
    said = []
    made = engine.load(compiled_golden, 1, say=said.append)
    assert isinstance(made, Fast)
    assert made.parameters_mb == pytest.approx(60.6647, abs=1e-4)
    assert not said


def test_auto_is_pytorch_elsewhere_and_says_why(compiled_golden, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.symlink_to(compiled_golden)
    said = []
    assert isinstance(engine.load(alone, 1, say=said.append), Eager)
    assert "there is none in" in said[0]


def test_fast_is_no_other(tmp_path):
    with pytest.raises(CheckpointError, match="no compiled engine"):
        engine.load(tmp_path / "model.safetensors", 1, "fast")


def test_both_answer_the_same(compiled_golden, golden_sample):
    fast, eager = (
        engine.load(compiled_golden, 1, name).predict(golden_sample.images, golden_sample.magnitudes)
        for name in ("fast", "eager")
    )
    assert fast.dtype == eager.dtype == np.float32
    assert fast.shape == eager.shape == (32,)
    assert np.abs(fast - eager).max() <= 6e-5  # either may be 3e-5 off
