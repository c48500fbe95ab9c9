from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import read_partition, write_partition
from lambda_image.errors import PartitionMalformed, UsageError
from scripts import join, split
from tests.unit.scripts.flags import run_command

ROWS = 23
IMAGES = np.random.default_rng(1).random((ROWS, 5, 32, 32), np.float32)
MAGNITUDES = np.random.default_rng(2).random((ROWS, 5), np.float32)
REDSHIFTS = np.random.default_rng(3).random(ROWS, np.float32)
IDS = {"objid": 10**17 + np.arange(ROWS)}


run = partial(run_command, join)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_partition(tmp_path / "all.safetensors", IMAGES, MAGNITUDES, REDSHIFTS, columns=IDS)
    return tmp_path / "all.safetensors"


@pytest.fixture
def parts(dataset: Path, tmp_path: Path) -> Path:
    split.split(dataset, tmp_path / "parts", 1.0, "safetensors", rows_per_file=2)  # 12 files: 2 comes before 10
    return tmp_path / "parts"


def test_what_was_split_is_joined_byte_for_byte(dataset: Path, parts: Path, tmp_path: Path):
    assert run(parts, "--out", tmp_path / "again.safetensors") == 0
    assert (tmp_path / "again.safetensors").read_bytes() == dataset.read_bytes()


@pytest.mark.parametrize(("rows", "first", "last"), [("5", 0, 5), ("3:9", 3, 9), ("20:", 20, 23), (":4", 0, 4)])
def test_rows_of_partitions_keep_their_numbers(parts: Path, tmp_path: Path, rows: str, first: int, last: int):
    assert run(parts, "--rows", rows, "--out", tmp_path / "some.safetensors") == 0
    part = read_partition(tmp_path / "some.safetensors")
    assert part.rows.tolist() == list(range(first, last))
    np.testing.assert_array_equal(part.images, IMAGES[first:last])
    np.testing.assert_array_equal(part.magnitudes, MAGNITUDES[first:last])
    assert part.columns["objid"].tolist() == IDS["objid"][first:last].tolist()


def test_a_published_file_is_cut_to_a_subset(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_partition(tmp_path / "all.pt", IMAGES, MAGNITUDES, REDSHIFTS, file_format="pt")
    assert run(tmp_path / "all.pt", "--rows", "10", "--out", tmp_path / "small.pt") == 0
    np.testing.assert_array_equal(read_partition(tmp_path / "small.pt").redshifts, REDSHIFTS[:10])
    assert capsys.readouterr().out == f"10 galaxies of 1 file in {tmp_path}/small.pt\n"


def test_datasets_follow_one_another_in_the_order_given_and_are_numbered_anew(tmp_path: Path):
    write_partition(tmp_path / "b.safetensors", IMAGES[:3], MAGNITUDES[:3], REDSHIFTS[:3])
    write_partition(tmp_path / "a.safetensors", IMAGES[3:8], MAGNITUDES[3:8])
    assert run(tmp_path / "b.safetensors", tmp_path / "a.safetensors", "--out", tmp_path / "j.safetensors") == 0
    part = read_partition(tmp_path / "j.safetensors")
    np.testing.assert_array_equal(part.images, IMAGES[:8])
    assert part.rows.tolist() == list(range(8))
    assert part.redshifts is not None
    assert np.isnan(part.redshifts).tolist() == [False] * 3 + [True] * 5


def test_no_redshifts_stay_none(tmp_path: Path):
    write_partition(tmp_path / "a.safetensors", IMAGES[:3], MAGNITUDES[:3])
    assert run(tmp_path / "a.safetensors", tmp_path / "a.safetensors", "--out", tmp_path / "j.safetensors") == 0
    assert read_partition(tmp_path / "j.safetensors").redshifts is None


def test_parts_that_differ_are_refused_and_nothing_is_written(tmp_path: Path):
    write_partition(tmp_path / "a.safetensors", IMAGES[:3], MAGNITUDES[:3])
    write_partition(tmp_path / "b.safetensors", IMAGES[:3], MAGNITUDES[:3], columns={"objid": np.arange(3)})
    write_partition(tmp_path / "c.safetensors", IMAGES[:3, :, :16, :16], MAGNITUDES[:3])
    for other, said in (("b", "a.safetensors: it has no column 'objid', which .*b.safetensors has"), ("c", "it has")):
        with pytest.raises(PartitionMalformed, match=said):
            run(tmp_path / "a.safetensors", tmp_path / f"{other}.safetensors", "--out", tmp_path / "j.safetensors")
    assert not (tmp_path / "j.safetensors").exists()


@pytest.mark.parametrize("rows", ["0:0", "5:3", "0:24", "a:b", "-1:3", ":", "x"])
def test_rows_that_are_not_there(rows: str):
    if rows == ":":
        assert join.parse_rows(rows, 23) == (0, 23)
    else:
        with pytest.raises(UsageError, match="allowed: START:STOP within 0:23, such as 0:23"):
            join.parse_rows(rows, 23)


def test_wrong_flags(dataset: Path, tmp_path: Path):
    for out, said in (
        ("x.fits", "must end in"),
        ("all.safetensors", "is read by this command"),
        ("no/x.pt", "in a folder that does not exist"),
    ):
        with pytest.raises(UsageError, match=said):
            run(dataset, "--out", tmp_path / out)
