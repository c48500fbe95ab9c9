import numpy as np
import pytest
import torch

from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model.bfloat16 import lower
from scripts.galaxies import Mixture, render


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(1)
    magnitudes, _ = Mixture.shipped().draw(32, rng)
    return torch.from_numpy(render(magnitudes, rng)), torch.from_numpy(magnitudes.astype(np.float32))


def test_redshifts_hardly_change(galaxies):
    with torch.inference_mode():
        exact, low = checkpoint.load(SHIPPED_MODEL)(*galaxies), lower(checkpoint.load(SHIPPED_MODEL))(*galaxies)
    assert low.dtype == torch.float32
    assert 0 < (low - exact).abs().max() <= 1e-3


def test_what_redshifts_depend_on_most_stays_float32():
    model = lower(checkpoint.load(SHIPPED_MODEL))
    low = {name for name, tensor in model.named_parameters() if tensor.dtype == torch.bfloat16}
    assert all(name.startswith(("blocks.", "inception_model.vis_inception.")) for name in low)
    assert not any(part in name for name in low for part in (".norm1.", ".norm2.", ".bn.", "PCM.layer.1."))
    statistics = [tensor for name, tensor in model.named_buffers() if "running" in name]
    assert all(tensor.dtype == torch.float32 for tensor in statistics)
