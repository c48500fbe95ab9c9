"""Training with PyTorch's own optimiser, whose import alone takes seconds."""

from pathlib import Path

import numpy as np
import torch

from scripts.training.ensemble import fit_ensemble
from scripts.training.steps import Pace, train
from scripts.training.trees import fit_trees


def test_training_learns_and_leaves_the_average() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 1), torch.randn(64, 3)
    said: list[int] = []

    def loss(_: float) -> torch.Tensor:
        return (layer(x)[:, 0] - x.sum(dim=1)).square().mean()

    before = loss(0).item()
    groups: list[dict[str, object]] = [{"params": layer.parameters(), "lr": 0.1}]
    train(layer, loss, groups, Pace(200), lambda step, *_: said.append(step), torch.Generator())
    assert loss(0).item() < before / 100
    assert said == [50, 100, 150, 200]


def test_an_interruption_changes_no_weight(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.pt"

    def run(layer: torch.nn.Linear, stop_after: int | None) -> Pace:
        pace, generator = Pace(40), torch.Generator().manual_seed(3)

        def loss(_: float) -> torch.Tensor:
            if pace.step == stop_after:
                raise KeyboardInterrupt
            return layer(torch.randn(4, 2, generator=generator)).square().mean()

        groups: list[dict[str, object]] = [{"params": layer.parameters(), "lr": 0.05}]
        try:
            train(layer, loss, groups, pace, lambda *_: None, generator, checkpoint, checkpoint_every_s=0)
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
    assert torch.equal(resumed.weight, layers[0].weight)


def test_an_ensemble_learns_a_curve() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 2))
    truth = 0.1 + 0.05 * np.sin(inputs[:, 0]) * inputs[:, 1]
    ensemble = fit_ensemble(inputs, truth, members=2, steps=800)
    error = ensemble.predict(inputs) - truth
    assert (error**2).mean() < 0.02 * truth.var()


def test_trees_learn_a_curve_and_the_same_one_for_a_seed() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, size=(2000, 2))
    truth = 0.1 + 0.05 * inputs[:, 0] * inputs[:, 1]
    trees = fit_trees(inputs, truth, trees=100)
    error = trees.predict(inputs) - truth
    assert (error**2).mean() < 0.02 * truth.var()
    assert (fit_trees(inputs, truth, trees=100).predict(inputs) == trees.predict(inputs)).all()
