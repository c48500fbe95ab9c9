import numpy as np
import torch

from lambda_image.metrics import accuracy
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts.galaxies import Mixture, render
from scripts.train import REDSHIFT_SCALE, Standardised, Teacher, calibrate_batch_norms, initialise, scores

SMALL = ModelConfig(depth=1, image_features=24, magnitude_features=16, head_features=8)


def network() -> tuple[Standardised, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    magnitudes = Mixture.shipped().draw(64, rng)[0]
    images = render(magnitudes, rng)
    model = RedshiftModel(SMALL)
    initialise(model)
    return Standardised(model, magnitudes, images), torch.tensor(images), torch.tensor(magnitudes)


def test_the_scaling_of_inputs_folds_into_the_first_layers():
    standardised, images, magnitudes = network()
    standardised.eval()
    with torch.no_grad():
        features = torch.cat(
            (
                standardised.model.vit(images / standardised.flux[:, None, None]),
                standardised.model.inception_model.vis_inception(images / standardised.flux[:, None, None]),
            ),
            dim=1,
        )
        expected = standardised.head(features, magnitudes) * REDSHIFT_SCALE
        answer = standardised.fold()(images, magnitudes)[:, 0]
    torch.testing.assert_close(answer, expected, rtol=1e-3, atol=1e-4)


def test_no_features_stand_for_zeros():
    standardised, _, magnitudes = network()
    zeros = torch.zeros(len(magnitudes), 2 * SMALL.image_features)
    torch.testing.assert_close(standardised.head(None, magnitudes), standardised.head(zeros, magnitudes))


def test_batch_norms_are_measured_anew():
    standardised, images, magnitudes = network()
    norm = standardised.model.inception_model.vis_inception[2].branch1.bn
    norm.running_mean.fill_(99)
    calibrate_batch_norms(standardised, iter([(images, magnitudes)] * 2))
    assert not standardised.training
    assert norm.running_mean.abs().max() < 50
    assert norm.num_batches_tracked == 2


def test_the_teacher_mixes_draws_and_real_galaxies():
    mixture, rng = Mixture.shipped(), np.random.default_rng(0)
    real = (np.full((2, 5), 15.0), np.array([0.5, 0.6]))
    magnitudes, target = Teacher(mixture, [mixture], real).batch(80, rng)
    assert (magnitudes.shape, target.shape) == ((80, 5), (80,))
    np.testing.assert_allclose(target[:70], mixture.expected_redshift(magnitudes[:70]), rtol=1e-4)
    assert set(target[70:]) == {np.float32(0.5), np.float32(0.6)}
    assert len(Teacher(mixture, [], None).batch(8, rng)[0]) == 8


def test_the_scores_are_those_of_every_other_command():
    truth = np.array([0.1, 0.4, 0.9, 1.6])
    predicted = truth + np.array([0.1, -0.2, 0.3, 0.6])
    found = accuracy(predicted, truth)
    assert scores(predicted, truth).endswith(f"NMAD {found.nmad:.5f}")
