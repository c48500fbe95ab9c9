from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.data.dataset import read_dataset
from lambda_image.data.partition import ROW_BYTES, read_partition, write_partition
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.errors import PartitionMalformed, UsageError
from scripts import split
from tests.unit.scripts.flags import run_command

ROWS = 23
IMAGES = np.random.default_rng(1).random((ROWS, 5, 32, 32), np.float32)
MAGNITUDES = np.random.default_rng(2).random((ROWS, 5), np.float32)
REDSHIFTS = np.random.default_rng(3).random(ROWS, np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "galaxies.safetensors"
    write_partition(path, IMAGES, MAGNITUDES, REDSHIFTS)
    return path


run = partial(run_command, split)


@given(rows_per_file=st.integers(1, ROWS + 2), file_format=st.sampled_from(["safetensors", "pt"]))
@settings(deadline=None, max_examples=25)
def test_files_hold_the_dataset_in_order(dataset, tmp_path_factory, rows_per_file, file_format):
    out = tmp_path_factory.mktemp("split") / "out"
    size_mb = (rows_per_file + 0.5) * ROW_BYTES / 2**20
    assert run(dataset, "--size-mb", size_mb, "--format", file_format, "--out", out) == 0
    files = -(-ROWS // rows_per_file)
    assert {path.name for path in out.iterdir()} == {f"{index}.{file_format}" for index in range(1, files + 1)}
    parts = [read_partition(out / f"{index}.{file_format}") for index in range(1, files + 1)]
    lengths = [len(part) for part in parts]
    assert max(lengths) <= min(rows_per_file, min(lengths) + 1)
    assert (np.concatenate([part.images for part in parts]) == IMAGES).all()
    assert (np.concatenate([part.magnitudes for part in parts]) == MAGNITUDES).all()
    assert (np.concatenate([part.redshifts for part in parts]) == REDSHIFTS).all()


@pytest.mark.parametrize("file_format", ["safetensors", "pt"])
def test_files_are_of_about_the_same_size_and_none_has_more_galaxies_than_asked(dataset, tmp_path, capsys, file_format):
    size_mb = 4.99 * ROW_BYTES / 2**20
    assert run(dataset, "--size-mb", size_mb, "--format", file_format, "--out", tmp_path / "out") == 0
    sizes = sorted(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert 4 * ROW_BYTES < sizes[-1] < 4 * (ROW_BYTES + 8) + 2500  # the row's number, and what a file has besides
    assert sizes[-1] - sizes[0] < 1.1 * ROW_BYTES
    assert "23 galaxies in 6 files" in capsys.readouterr().out


def test_25_mb_are_as_many_galaxies_as_in_the_published_partitions(tmp_path):
    images = np.zeros((1279, 5, 32, 32), np.float32)
    for rows, files in ((1278, 1), (1279, 2)):
        write_partition(tmp_path / "data", images[:rows], np.zeros((rows, 5)))
        assert split.split(tmp_path / "data", tmp_path / str(rows), 25.0, "safetensors") == (files, rows)


def test_a_single_file_is_no_plural(dataset, tmp_path, capsys):
    assert run(dataset, "--out", tmp_path / "out") == 0
    assert "23 galaxies in 1 file in" in capsys.readouterr().out


def test_redshifts_may_be_absent(tmp_path):
    write_partition(tmp_path / "data", IMAGES, MAGNITUDES)
    run(tmp_path / "data", "--out", tmp_path / "out")
    assert read_partition(tmp_path / "out" / "1.safetensors").redshifts is None


def test_a_directory_with_files_is_left_alone(dataset, tmp_path):
    (tmp_path / "7.safetensors").write_bytes(b"of another dataset")
    with pytest.raises(UsageError, match=r"holds partitions, which would mix with these: .*--overwrite"):
        run(dataset, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["7.safetensors"]
    assert run(dataset, "--out", tmp_path, "--overwrite") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["1.safetensors"]
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"something other than partitions \(thesis.tex\)"):
        run(dataset, "--out", tmp_path, "--overwrite")


def test_an_empty_directory_is_taken(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    assert run(dataset, "--out", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_bad_dataset_leaves_nothing_behind(tmp_path):
    ids = np.zeros((ROWS, 2), np.uint8)
    ids[20] = 255, 255
    content = {"images": IMAGES, "magnitudes": MAGNITUDES, "name": ids}
    (tmp_path / "data").write_bytes(safetensors.numpy.save(content))
    with pytest.raises(PartitionMalformed, match="'name' holds text that is not UTF-8 in row 20"):
        run(tmp_path / "data", "--size-mb", "0.1", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_dataset_without_galaxies_is_refused(tmp_path):
    write_safetensors(tmp_path / "data", {"images": IMAGES[:0], "magnitudes": MAGNITUDES[:0]})
    with pytest.raises(PartitionMalformed, match="data: it holds no galaxies"):
        run(tmp_path / "data", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("file_format", ["safetensors", "pt"])
def test_columns_rows_and_values_that_are_not_finite_travel(tmp_path, file_format):
    images, redshifts = IMAGES.copy(), REDSHIFTS.copy()
    images[20, 0, 0, 0], redshifts[3] = np.nan, -np.inf
    ids = 10**17 + np.arange(ROWS) * 3
    columns = {"objid": ids, "name": np.array([f"é{index}" for index in range(ROWS)]), "ra": ids / 1e16}
    write_partition(tmp_path / "data", images, MAGNITUDES, redshifts, columns=columns)
    run(tmp_path / "data", "--size-mb", "0.1", "--format", file_format, "--out", tmp_path / "out")
    parts = read_dataset(tmp_path / "out")
    assert np.array_equal(parts.images, images, equal_nan=True)
    assert (parts.redshifts == redshifts).all()
    assert list(parts.columns) == ["objid", "name", "ra"]
    assert (parts.columns["objid"] == ids).all()
    assert [name.decode() for name in parts.columns["name"].tolist()] == columns["name"].tolist()
    assert parts.columns["ra"].tobytes() == columns["ra"].tobytes()
    assert parts.rows.tolist() == list(range(ROWS))


def test_the_rows_of_a_dataset_that_was_itself_cut_out_are_kept(tmp_path):
    rows = np.arange(ROWS)[::-1] * 10
    write_partition(tmp_path / "data", IMAGES, MAGNITUDES, rows=rows)
    run(tmp_path / "data", "--size-mb", "0.1", "--out", tmp_path / "out")
    assert (read_dataset(tmp_path / "out").rows == rows).all()


def test_what_cannot_be_is_refused(dataset, tmp_path):
    with pytest.raises(UsageError, match="--size-mb is 0; allowed"):
        run(dataset, "--size-mb", "0", "--out", tmp_path / "out")
    with pytest.raises(UsageError, match=r"nowhere\.pt does not exist: name a dataset"):
        run(tmp_path / "nowhere.pt", "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_fields_files_is_refused_with_the_command_that_imports_them(tmp_path):
    (tmp_path / "a.fits").touch()
    with pytest.raises(UsageError, match=rf"is a folder: .*; `cosmicai import {tmp_path} --out partitions/`"):
        run(tmp_path, "--out", tmp_path / "out")


def test_a_folder_is_not_made_for_a_mistyped_path(dataset, tmp_path):
    with pytest.raises(UsageError, match="in a folder that does not exist"):
        run(dataset, "--out", tmp_path / "mistyped" / "out")
    assert list(tmp_path.iterdir()) == []


def test_plain_mistakes_are_told(dataset, tmp_path):
    with pytest.raises(UsageError, match="--size-mb is inf"):
        run(dataset, "--size-mb", "inf", "--out", tmp_path / "out")
    with pytest.raises(UsageError, match="is a folder"):
        run(tmp_path, "--out", tmp_path / "out")


def test_files_of_so_many_rows(dataset, tmp_path, capsys):
    assert run(dataset, "--rows", 10, "--out", tmp_path / "out") == 0
    lengths = sorted(len(read_partition(path)) for path in (tmp_path / "out").iterdir())
    assert lengths == [7, 8, 8]
    assert run(dataset, "--size-mib", 1, "--out", tmp_path / "by-size") == 0
    assert "23 galaxies in 1 file" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--rows is 0"):
        run(dataset, "--rows", 0, "--out", tmp_path / "none")
