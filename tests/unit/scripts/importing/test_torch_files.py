import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.utils.data import ConcatDataset, StackDataset, Subset, TensorDataset

from lambda_image.data.partition import read_partition
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import Contents
from scripts.importing.torch_files import open_safetensors, open_torch

N = 12
IMAGES = torch.rand(N, 5, 9, 8)
MAGNITUDES = torch.rand(N, 5, dtype=torch.float64)
REDSHIFTS = torch.rand(N)
IDS = 10**17 + torch.arange(N)
ROWS = [(0, N), (3, 7), (1, 2)]


def saved(path: Path, value: object, **options: object) -> Contents:
    torch.save(value, path / "a.pt", **options)
    return open_torch(path / "a.pt")


def check(contents: Contents, expected: dict[str, torch.Tensor]) -> None:
    assert list(contents.arrays) == list(expected)
    for name, tensor in expected.items():
        column = contents.arrays[name]
        whole = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        assert column.shape == tuple(tensor.shape)
        for start, stop in ROWS:
            if stop <= len(tensor):
                np.testing.assert_array_equal(column.read(start, stop), whole[start:stop].numpy())


NAMED = {"images": IMAGES, "magnitudes": MAGNITUDES, "redshifts": REDSHIFTS, "column_4": IDS}


def test_tensors_in_a_dict(tmp_path):
    check(saved(tmp_path, {"stamps": IMAGES, "mags": MAGNITUDES}), {"stamps": IMAGES, "mags": MAGNITUDES})


def test_tensors_in_dicts_of_dicts_beside_other_things(tmp_path):
    value = {"train": {"x": IMAGES, "y": [MAGNITUDES, REDSHIFTS]}, "epochs": 3, "model": torch.nn.Linear(2, 2)}
    check(saved(tmp_path, value), {"train.x": IMAGES, "train.y.0": MAGNITUDES, "train.y.1": REDSHIFTS})


@pytest.mark.parametrize("kind", [tuple, list])
def test_tensors_without_names_that_look_like_a_dataset(tmp_path, kind):
    check(saved(tmp_path, kind([IMAGES, MAGNITUDES, REDSHIFTS, IDS])), NAMED)


def test_tensors_without_names_in_another_order_have_their_places(tmp_path):
    check(saved(tmp_path, (MAGNITUDES, IMAGES)), {"0": MAGNITUDES, "1": IMAGES})


DATASET = TensorDataset(IMAGES, MAGNITUDES, REDSHIFTS, IDS)
CHOSEN = [7, 8, 9, 2, 2, 11, 0]


@pytest.mark.parametrize("indices", [CHOSEN, torch.tensor(CHOSEN), tuple(CHOSEN)])
def test_a_subset(tmp_path, indices):
    check(saved(tmp_path, Subset(DATASET, indices)), {name: tensor[CHOSEN] for name, tensor in NAMED.items()})


def test_a_subset_by_a_range(tmp_path):
    check(saved(tmp_path, Subset(DATASET, range(2, 9, 3))), {name: tensor[2:9:3] for name, tensor in NAMED.items()})


def test_what_random_split_gives(tmp_path):
    part = torch.utils.data.random_split(DATASET, [9, 3], torch.Generator().manual_seed(1))[0]
    check(saved(tmp_path, part), {name: tensor[part.indices] for name, tensor in NAMED.items()})


def test_datasets_that_follow_one_another_and_subsets_of_these(tmp_path):
    both = ConcatDataset([DATASET, Subset(DATASET, CHOSEN)])
    order = [*range(N), *CHOSEN]
    check(saved(tmp_path, both), {name: tensor[order] for name, tensor in NAMED.items()})
    again = [order[index] for index in (0, 15, 13, 11)]
    check(saved(tmp_path, Subset(both, [0, 15, 13, 11])), {name: tensor[again] for name, tensor in NAMED.items()})


def test_datasets_beside_one_another(tmp_path):
    check(saved(tmp_path, StackDataset(stamps=IMAGES, mags=MAGNITUDES)), {"stamps": IMAGES, "mags": MAGNITUDES})


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_list_of_galaxies(tmp_path, kind):
    samples = [kind((IMAGES[n], MAGNITUDES[n], float(REDSHIFTS[n]))) for n in range(N)]
    check(saved(tmp_path, samples), {"images": IMAGES, "magnitudes": MAGNITUDES, "redshifts": REDSHIFTS.double()})


def test_a_list_of_dicts(tmp_path):
    samples = [{"image": IMAGES[n].clone(), "z": REDSHIFTS[n].clone()} for n in range(N)]
    check(saved(tmp_path, samples), {"image": IMAGES, "z": REDSHIFTS})


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        (["J1", "J234"], "text", [b"J1", b"J234"]),
        ([10**17 + 1, -5], "int64", [10**17 + 1, -5]),
        ([2**63, 1], "uint64", [2**63, 1]),
        ([2**63, -1], "text", [b"9223372036854775808", b"-1"]),
        ([0.5, 1], "float64", [0.5, 1.0]),
    ],
)
def test_lists_of_numbers_and_texts_are_columns(tmp_path, values, dtype, read):
    beside = saved(tmp_path, {"images": IMAGES[:2], "objid": values, "mixed": [1, "a"], "nothing": []}).arrays
    inside = saved(tmp_path, [{"images": IMAGES[n].clone(), "objid": value} for n, value in enumerate(values)]).arrays
    for arrays in (beside, inside):
        assert list(arrays) == ["images", "objid"]
        assert (arrays["objid"].dtype, arrays["objid"].shape) == (dtype, (2,))
        assert arrays["objid"].read(0, 2).tolist() == read


def test_a_long_text_does_not_make_all_others_as_long(tmp_path):
    notes = saved(tmp_path, {"images": IMAGES, "notes": ["short", "x" * 10_000, *["é"] * (N - 2)]}).arrays["notes"]
    assert notes.read(0, 1).dtype == "S5"
    assert notes.read(1, 3).tolist() == [b"x" * 10_000, "é".encode()]


def test_bfloat16_and_the_format_before_1_6(tmp_path):
    half = IMAGES.bfloat16()
    check(saved(tmp_path, {"stamps": half}), {"stamps": half})
    check(saved(tmp_path, {"stamps": IMAGES}, _use_new_zipfile_serialization=False), {"stamps": IMAGES})
    safetensors.torch.save_file({"stamps": half, "mags": MAGNITUDES}, tmp_path / "a.safetensors")
    arrays = open_safetensors(tmp_path / "a.safetensors").arrays
    assert {name: column.dtype for name, column in arrays.items()} == {"mags": "float64", "stamps": "bfloat16"}
    np.testing.assert_array_equal(arrays["stamps"].read(3, 7), half[3:7].float().numpy())


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("value", [Trap(), {"stamps": IMAGES, "more": Trap()}, Subset(DATASET, Trap()), [Trap()] * 3])
def test_nothing_that_a_file_names_is_executed(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(PartitionMalformed):
        saved(tmp_path, value)
    assert not (tmp_path / "executed").exists()


NETWORK = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(2, 2), "step": torch.tensor(1.0)}}}


@pytest.mark.parametrize(
    "value",
    [NETWORK, NETWORK.state_dict(), {"epoch": 3, "state_dict": NETWORK.state_dict(), "optimizer": OPTIMIZER}],
)
def test_weights_are_told_from_galaxies(tmp_path, value):
    with pytest.raises(PartitionMalformed, match="holds the weights of a network and no galaxies: name a dataset"):
        saved(tmp_path, value)
    with pytest.raises(PartitionMalformed, match="holds the weights of a network and no galaxies: name a dataset"):
        read_partition(next(tmp_path.iterdir()))


def test_what_holds_no_tensors_is_refused(tmp_path):
    with pytest.raises(PartitionMalformed, match=r"names pathlib.*a dict, list or tuple"):
        saved(tmp_path, Path("/"))
    with pytest.raises(PartitionMalformed, match="chooses rows up to 12 of 12"):
        saved(tmp_path, Subset(DATASET, [0, 12]))
    with pytest.raises(PartitionMalformed, match="indices that are no list"):
        saved(tmp_path, Subset(DATASET, np.array([0, 1])))
    with pytest.raises(PartitionMalformed, match="differ"):
        saved(tmp_path, ConcatDataset([DATASET, TensorDataset(IMAGES, MAGNITUDES)]))
    with pytest.raises(PartitionMalformed, match="has the shapes"):
        saved(tmp_path, ConcatDataset([TensorDataset(IMAGES), TensorDataset(IMAGES[:, :2])]))
