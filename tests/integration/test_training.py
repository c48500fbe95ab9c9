"""Training with PyTorch's own optimiser, whose import alone takes seconds."""

import torch

from scripts.train import train


def test_training_learns_and_leaves_the_average():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 1), torch.randn(64, 3)
    said: list[int] = []

    def loss() -> torch.Tensor:
        return (layer(x)[:, 0] - x.sum(dim=1)).square().mean()

    before = loss().item()
    train(loss, [{"params": layer.parameters(), "lr": 0.1}], 200, layer, lambda step, _: said.append(step))
    assert loss().item() < before / 100
    assert said == [100, 200]
