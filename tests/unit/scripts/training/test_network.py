import numpy as np
import pytest
import torch

from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts.galaxies import COLOURS, Mixture, render
from scripts.training.ensemble import Ensemble
from scripts.training.network import (
    REDSHIFT_SCALE,
    Standardised,
    answer_to_magnitudes,
    calibrate_batch_norms,
    initialise,
)

SMALL = ModelConfig(depth=1, image_features=24, magnitude_features=16, head_features=8)


def network() -> tuple[Standardised, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    magnitudes = Mixture.shipped().draw(64, rng)[0]
    images = render(magnitudes, rng)
    model = RedshiftModel(SMALL)
    initialise(model)
    return Standardised(model, magnitudes, images), torch.tensor(images), torch.tensor(magnitudes)


def students(magnitudes: torch.Tensor) -> Ensemble:
    """Two networks of three units, as fit_ensemble leaves them but not trained."""
    generator = torch.Generator().manual_seed(3)
    shapes = ((2, 5, 3), (2, 1, 3), (2, 3, 3), (2, 1, 3), (2, 3, 1), (2, 1, 1))
    inputs = magnitudes.double() @ torch.tensor(COLOURS.T)
    middle, spread = inputs.mean(dim=0).float(), inputs.std(dim=0).float()
    return Ensemble([torch.randn(shape, generator=generator) for shape in shapes], middle, spread)


@torch.no_grad()
def test_the_branch_that_an_ensemble_is_embedded_in_answers_like_it() -> None:
    standardised, images, magnitudes = network()
    ensemble = students(magnitudes)
    standardised.embed(ensemble)
    torch.nn.init.zeros_(standardised.model.concat_block[2].weight[:, 1:])
    standardised.eval()
    expected = ensemble.predict(magnitudes.numpy() @ COLOURS.T)
    answer = standardised.fold()(images, magnitudes)[:, 0]
    np.testing.assert_allclose(answer.numpy(), expected, atol=2e-5)


@torch.no_grad()
def test_the_answer_to_magnitudes_only_is_that_of_the_ensemble_whatever_the_other_units_say() -> None:
    standardised, _, magnitudes = network()
    ensemble = students(magnitudes)
    standardised.embed(ensemble)
    torch.nn.init.ones_(standardised.model.concat_block[2].weight[:, 1:])
    standardised.eval()
    answer = answer_to_magnitudes(standardised.fold(), magnitudes.numpy())
    assert answer is not None
    np.testing.assert_allclose(answer, ensemble.predict(magnitudes.numpy() @ COLOURS.T), atol=2e-5)


def test_a_network_of_another_training_has_no_answer_to_magnitudes_only() -> None:
    standardised, _, magnitudes = network()
    assert answer_to_magnitudes(standardised.model, magnitudes.numpy()) is None


def test_an_ensemble_that_the_branch_has_no_room_for_is_refused() -> None:
    standardised, _, magnitudes = network()
    large = students(magnitudes)
    wide = Ensemble([torch.zeros(4, 5, 3), *large.parameters[1:]], large.middle, large.spread)
    with pytest.raises(ValueError, match="4 networks of 3 units and 5 axes need 16 units"):
        standardised.embed(wide)


@torch.no_grad()
def test_what_is_trained_is_the_network_whose_scaling_folds_into_the_first_layers_and_out_again() -> None:
    standardised, images, magnitudes = network()
    standardised.embed(students(magnitudes))
    standardised.eval()
    features = standardised.magnitude_features(magnitudes)
    expected = standardised(images, features)[0] * REDSHIFT_SCALE
    answer = standardised.fold()(images, magnitudes)[:, 0]
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)
    standardised.unfold()
    torch.testing.assert_close(standardised.magnitude_features(magnitudes), features, rtol=1e-3, atol=1e-3)
    again = standardised(images, features)[0] * REDSHIFT_SCALE
    torch.testing.assert_close(again, expected, rtol=1e-3, atol=1e-4)


def test_batch_norms_are_measured_anew() -> None:
    standardised, images, magnitudes = network()
    norm = standardised.model.inception_model.vis_inception[2].branch1.bn
    norm.running_mean.fill_(99)
    calibrate_batch_norms(standardised, iter([(images, standardised.magnitude_features(magnitudes))] * 2))
    assert not standardised.training
    assert norm.running_mean.abs().max() < 50
    assert norm.num_batches_tracked == 2
