"""The network against what the published code answered with the same weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from lambda_image.model.architecture import ModelConfig, RedshiftModel


@pytest.fixture(scope="module")
def model(golden: dict[str, Any]) -> RedshiftModel:
    with torch.device("meta"):
        model = RedshiftModel(ModelConfig())
    tensors: Iterator[tuple[str, np.ndarray]] = golden["tensors"]()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in tensors}, assign=True)
    return model.eval()


def test_has_the_published_tensors_and_parameters(model):
    assert sum(parameter.numel() for parameter in model.parameters()) == 15_902_889


def test_answers_as_the_published_code(model, golden, shared):
    images, magnitudes, _ = golden["inputs"]()
    with torch.inference_mode():
        ours = model(torch.from_numpy(images), torch.from_numpy(magnitudes.astype(np.float32))).numpy()
    truth = np.load(shared / "golden" / "outputs.npz")["output_float64"]
    assert ours.shape == truth.shape == (32, 1)
    assert np.abs(ours - truth).max() <= 3e-5


def test_answers_do_not_depend_on_the_batch(model, golden):
    images, magnitudes, _ = golden["inputs"]()
    images, magnitudes = torch.from_numpy(images), torch.from_numpy(magnitudes.astype(np.float32))
    with torch.inference_mode():
        whole = model(images, magnitudes)
        parts = torch.cat([model(images[i : i + 5], magnitudes[i : i + 5]) for i in range(0, 32, 5)])
    torch.testing.assert_close(parts, whole, rtol=3e-5, atol=0)  # float32's rounding depends on the matrices' shapes


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(embed_dim=16, heads=4, depth=1, mlp_features=8, pcm_features=32, pcm_groups=4, image_features=12),
        ModelConfig(pcm_kernel=3, pcm_groups=1, depth=2, inception_features=(4, 4, 4)),
        ModelConfig(bands=3, image_size=16, patch_size=4, depth=1),
    ],
)
def test_every_size_follows_from_the_config(config):
    model = RedshiftModel(config).eval()
    images = torch.ones(2, config.bands, config.image_size, config.image_size)
    with torch.inference_mode():
        assert model(images, torch.ones(2, config.bands)).shape == (2, 1)
