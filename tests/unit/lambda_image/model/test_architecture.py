"""The network against known answers with the same weights."""

import numpy as np
import pytest
import torch

from lambda_image.model.architecture import ModelConfig, RedshiftModel
from tests.data.reference_model import ReferenceModel


@pytest.fixture(scope="module")
def model(reference_model: ReferenceModel) -> RedshiftModel:
    with torch.device("meta"):
        model = RedshiftModel(ModelConfig())
    state = {name: torch.from_numpy(array) for name, array in reference_model.tensors.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def test_has_the_published_parameters(model):
    assert sum(parameter.numel() for parameter in model.parameters()) == 15_902_889


def test_answers_as_the_reference(model, reference_model):
    with torch.inference_mode():
        answers = model(*map(torch.from_numpy, (reference_model.images, reference_model.magnitudes))).numpy()
    assert answers.shape == (32, 1)
    assert np.abs(answers[:, 0] - reference_model.redshifts).max() <= reference_model.tolerance


def test_answers_do_not_depend_on_the_batch(model, reference_model):
    images, magnitudes = (
        torch.from_numpy(array[:12]) for array in (reference_model.images, reference_model.magnitudes)
    )
    with torch.inference_mode():
        whole = model(images, magnitudes)
        parts = torch.cat([model(images[i : i + 5], magnitudes[i : i + 5]) for i in range(0, 12, 5)])
    np.testing.assert_allclose(
        parts.numpy(), whole.numpy(), rtol=3e-5, atol=0
    )  # float32's rounding depends on the matrices' shapes


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
