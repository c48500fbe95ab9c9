"""Training with PyTorch's own optimiser, whose import alone takes seconds."""

from pathlib import Path

import numpy as np
import torch

from scripts.training.ensemble import fit_ensemble
from scripts.training.steps import Pace, train


def test_training_learns_and_leaves_the_average() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 1), torch.randn(64, 3)
    said: list[int] = []

    def loss(_: float) -> torch.Tensor:
        return (layer(x)[:, 0] - x.sum(dim=1)).square().mean()

    before = loss(0).item()
    groups: list[dict[str, object]] = [{"params": layer.parameters(), "lr": 0.1}]
    train(layer, loss, groups, Pace(200, 1e6), lambda step, *_: said.append(step))
    assert loss(0).item() < before / 100
    assert said == [50, 100, 150, 200]


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.pt"

    def run(layer: torch.nn.Linear, stop_after: int | None) -> Pace:
        pace = Pace(40, 1e6)

        def loss(_: float) -> torch.Tensor:
            if pace.step == stop_after:
                raise KeyboardInterrupt
            return layer(torch.ones(4, 2)).square().mean()

        groups: list[dict[str, object]] = [{"params": layer.parameters(), "lr": 0.05}]
        try:
            train(layer, loss, groups, pace, lambda *_: None, checkpoint, checkpoint_every_s=0)
        except KeyboardInterrupt:
            assert pace.step == stop_after
        return pace

    torch.manual_seed(0)
    layers = [torch.nn.Linear(2, 1) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    run(layers[0], None)
    checkpoint.unlink()
    run(layers[1], 25)
    resumed = torch.nn.Linear(2, 1)
    pace = run(resumed, None)
    assert pace.step == 40
    torch.testing.assert_close(resumed.weight, layers[0].weight)


def test_an_ensemble_learns_a_curve() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 2))
    truth = 0.1 + 0.05 * np.sin(inputs[:, 0]) * inputs[:, 1]
    ensemble = fit_ensemble(inputs, truth, members=2, steps=800)
    error = ensemble.predict(inputs) - truth
    assert (error**2).mean() < 0.02 * truth.var()
