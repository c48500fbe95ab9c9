import numpy as np
import pytest
import torch

from lambda_image.errors import InvalidEvent
from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model.architecture import ModelConfig
from lambda_image.model.eager import Eager, gpu_name

with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use is here")


@pytest.fixture(scope="module")
def reference_checkpoint(reference_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "reference.safetensors"
    checkpoint.save(path, reference_model.tensors, ModelConfig())
    return path


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=with_gpu)])
def test_answers_as_the_reference(reference_checkpoint, reference_model, device):
    eager = Eager(checkpoint.load(reference_checkpoint), 1, device)
    answers = eager.predict(reference_model.images, reference_model.magnitudes)
    assert (eager.name, eager.device, answers.dtype) == ("eager", device, np.float32)
    assert np.abs(answers - reference_model.redshifts).max() <= reference_model.tolerance


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=with_gpu)])
def test_bf16_is_smaller_and_hardly_another_answer(reference_checkpoint, reference_model, device):
    """Of weights as these, random ones, which make the most of an error: a twentieth of the answers' own spread."""
    exact, low = (Eager(checkpoint.load(reference_checkpoint), 1, device, bf16) for bf16 in (False, True))
    answers, truth = (engine.predict(reference_model.images, reference_model.magnitudes) for engine in (low, exact))
    assert (low.name, low.device, answers.dtype) == ("bf16", device, np.float32)
    assert low.parameters_mb < exact.parameters_mb
    assert 1e-6 < np.abs(answers - truth).mean() < truth.std() / 20


def test_float32_is_not_tf32_on_any_gpu():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    Eager(checkpoint.load(SHIPPED_MODEL), 1)
    for kind in (torch.backends.cuda.matmul, torch.backends.cudnn.conv):
        assert kind.fp32_precision in ("ieee", "none")  # none: as by default, which is not TF32 then
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_the_whole_model_can_be_moved():
    """No tensor of it is on the meta device, where it was built."""
    model = checkpoint.load(SHIPPED_MODEL)
    assert not [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_named_with_what_to_do():
    with pytest.raises(
        InvalidEvent, match=r"INFERENCE_DEVICE or --device is cuda.*finds none.*or choose cpu"
    ) as caught:
        gpu_name()
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidEvent):
        Eager(checkpoint.load(SHIPPED_MODEL), 1, "cuda")
