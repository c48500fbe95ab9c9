import numpy as np
import torch

from scripts.galaxies import COLOURS
from scripts.training.lessons import DIFFERENCE, joined, lesson, turned

MAGNITUDES = np.tile([19.0, 18.0, 17.4, 17.1, 16.8], (16, 1))


def test_the_eight_turns_of_an_image_all_differ() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert len({tuple(turned(image, turn).flatten().tolist()) for turn in range(8)}) == 8


def test_a_batch_has_the_light_of_petrosian_magnitudes_and_new_noise_each_time() -> None:
    rng = np.random.default_rng(0)
    plain = lesson(MAGNITUDES, None, np.full(16, 0.1), rng)
    brighter = lesson(MAGNITUDES, MAGNITUDES - 0.3, np.full(16, 0.2), rng)
    assert not plain.differences.any()
    torch.testing.assert_close(brighter.differences, torch.full((16, 5), -0.3 / DIFFERENCE))
    both = joined([plain, brighter])
    expected = torch.tensor((MAGNITUDES - 0.3) @ COLOURS.T, dtype=torch.float32)
    torch.testing.assert_close(both.photometry[16:], expected)
    rows, images = both.batch(32, torch.Generator().manual_seed(0))
    rows_again, again = both.batch(32, torch.Generator().manual_seed(0))
    assert torch.equal(images, again)
    assert torch.equal(rows, rows_again)
    light = both.light[rows].float().sum(dim=(2, 3))
    assert (images.sum(dim=(2, 3)) / light)[:, 1:4].sub(1).abs().max() < 0.2
    assert not torch.equal(images.sum(dim=(2, 3)), light)
