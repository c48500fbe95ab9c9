from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import write_partition
from scripts.evaluate.ablation import ANOTHER, NOISE, ZEROS, Ablation, OtherImages, ablate, read_images, sky_noise
from scripts.evaluate.bootstrap import MeasuredInterval
from scripts.shard import Shard, stretches
from tests.unit.scripts.evaluate.galaxies import Blind, Seeing


def ablated(engine) -> Ablation:
    rng = np.random.default_rng(0)
    true = rng.uniform(0.02, 0.3, 100).astype(np.float32)
    images = rng.standard_normal((100, 5, 32, 32)).astype(np.float32) / 10
    images[:, 0, 0, 0] = true
    magnitudes = np.full((100, 5), 17, np.float32)
    magnitudes[:, 2] = np.clip(100 * true, 1, None) + 0.3 * rng.standard_normal(100)
    predicted = engine.predict(images, magnitudes)
    return ablate(engine, images, magnitudes, predicted, true, batch_size=33, resamples=200, rng=rng)


def test_a_model_that_sees_loses_all_with_another_galaxys_image():
    found = ablated(Seeing())
    changes = {one.images: one.r2_change for one in found.replaced}
    assert list(changes) == [ZEROS, NOISE, ANOTHER]
    assert found.r2.value == pytest.approx(1)
    assert all(change.low > 0.5 for change in changes.values())
    assert found.verdict() == "this model uses what images show"


def test_a_blind_model_loses_nothing():
    found = ablated(Blind())
    assert {one.r2_change for one in found.replaced} == {MeasuredInterval(0.0, 0.0, 0.0)}
    assert found.verdict().startswith("this model uses nothing that images show")
    assert found.line() == (
        "images change R² by +0.0000 (+0.0000 to +0.0000) beside zeros, +0.0000 (+0.0000 to +0.0000) beside noise, "
        "+0.0000 (+0.0000 to +0.0000) beside another galaxy's image"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (MeasuredInterval(-0.1, -0.2, -0.05), "does worse with a galaxy's own image"),
        (MeasuredInterval(None), "cannot be said"),
        (MeasuredInterval(0.1, -0.01, 0.2), "uses nothing"),
    ],
)
def test_every_end_has_its_words(change: MeasuredInterval, words: str):
    one = Ablation(
        5, MeasuredInterval(0.8), [OtherImages(ANOTHER, MeasuredInterval(0.8), change, MeasuredInterval(0.01))]
    )
    assert words in one.verdict()


def test_nobody_gets_its_own_image():
    given = []

    class Keeping(Blind):
        def predict(self, images, magnitudes):
            given.append(images[:, 0, 0, 0].copy())
            return super().predict(images, magnitudes)

    images = np.zeros((7, 5, 32, 32), np.float32)
    images[:, 0, 0, 0] = np.arange(7)
    magnitudes, true = np.full((7, 5), 17, np.float32), np.linspace(0.1, 0.2, 7, dtype=np.float32)
    ablate(Keeping(), images, magnitudes, true, true, batch_size=7, resamples=2, rng=np.random.default_rng(0))
    assert sorted(given[2]) == list(range(7))
    assert not (given[2] == np.arange(7)).any()


def test_the_sky_is_measured_beside_bright_galaxies():
    rng = np.random.default_rng(0)
    sigma = np.array([0.04, 0.02, 0.03, 0.04, 0.13])
    images = (sigma[:, None, None] * rng.standard_normal((20, 5, 32, 32))).astype(np.float32)
    images[:, :, 12:20, 12:20] += 50
    assert sky_noise(images, rng) == pytest.approx(sigma, rel=0.1)


def test_images_of_chosen_rows_are_read_across_files(tmp_path: Path):
    for number, count in ((1, 5), (2, 3), (3, 9)):
        images = np.zeros((count, 5, 32, 32), np.float32)
        images[:, 0, 0, 0] = 100 * number + np.arange(count)
        write_partition(tmp_path / f"{number}.safetensors", images, np.full((count, 5), 17.0))
    share = stretches([tmp_path / f"{number}.safetensors" for number in (1, 2, 3)], Shard())
    found = read_images(share, np.array([0, 4, 8, 12, 16]), 2, Blind())
    assert found[:, 0, 0, 0].tolist() == [100, 104, 300, 304, 308]


def test_both_accuracies_count_the_galaxies_that_have_an_answer_with_either_image():
    class SilentInTheDark(Blind):
        def predict(self, images, magnitudes):
            dark = (images[:, 0, 0, 0] == 0) & (magnitudes[:, 2] < 10)
            return np.where(dark, np.nan, super().predict(images, magnitudes)).astype(np.float32)

    zeros = ablated(SilentInTheDark()).replaced[0]
    assert zeros.r2_change == MeasuredInterval(0.0, 0.0, 0.0)
