from typing import Any

import pytest
import torch

from lambda_image.data.byte_source import byte_source
from lambda_image.data.torch_archive import TorchArchive
from lambda_image.data.weights import are_weights, hold_weights

NETWORK = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
STATE = NETWORK.state_dict()
OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(2, 2), "step": torch.tensor(1.0)}}}
GALAXIES = torch.zeros(3, 5, 8, 8)


@pytest.mark.parametrize(
    ("content", "weights"),
    [
        (NETWORK, True),
        (STATE, True),
        ({"state_dict": STATE, "epoch": 3, "history": [0.1, 0.2]}, True),
        ({"model": NETWORK, "optimizer_state": OPTIMIZER}, True),
        ({"a": {"b": {"c": STATE}}}, True),
        ({"images": GALAXIES, "model": NETWORK}, False),  # to be imported
        ({"train": {"x": GALAXIES}, "model": STATE}, False),
        ({"stamps": [GALAXIES, GALAXIES]}, False),
        ({"epoch": 3}, False),
        ([GALAXIES], False),
        ({}, False),
    ],
)
def test_a_network_is_told_from_galaxies(content: Any, weights: bool, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    assert hold_weights(TorchArchive(byte_source(tmp_path / "a.pt")).root) is weights


def test_names_of_parameters_are_most_of_them():
    assert are_weights(["0.weight", "0.bias", "block.q_bias"])
    assert not are_weights(["images", "magnitudes", "weight"])  # as a column of one's own may be called
    assert not are_weights(["weight", "images"])
    assert not are_weights([])


def test_a_dict_that_holds_itself_ends(tmp_path):
    content: dict[str, Any] = {"x": GALAXIES}
    content["again"] = content
    torch.save(content, tmp_path / "a.pt")
    assert not hold_weights(TorchArchive(byte_source(tmp_path / "a.pt")).root)


def test_containers_that_are_there_a_billion_times_take_no_time():
    content: object = []
    for _ in range(15):
        content = [content] * 10
    assert not hold_weights(content)
