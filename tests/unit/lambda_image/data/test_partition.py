"""What is read of a partition, by rows and in batches, and what is written."""

import io
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.data.partition import ROW_BYTES, count_rows, open_partition, read_partition, write_partition
from lambda_image.errors import PartitionMalformed, PartitionMissing
from tests.unit.lambda_image.data.galaxy_files import FORMATS, GALAXIES, ours, published

# --- what is read


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("wrap", [Path, Path.read_bytes, Path.open])
def test_reads_what_was_written_from_everything(written, file_format, wrap):
    path = written[file_format]
    partition = read_partition(path if wrap is Path else path.open("rb") if wrap is Path.open else wrap(path))
    assert len(partition) == 12
    for array, expected in zip((partition.images, partition.magnitudes, partition.redshifts), GALAXIES, strict=True):
        assert array.dtype == np.float32
        assert (array == expected).all()


@pytest.mark.parametrize("file_format", FORMATS)
def test_redshifts_are_optional(file_format, tmp_path):
    write_partition(tmp_path / "data", *GALAXIES[:2], file_format=file_format)
    partition = read_partition(tmp_path / "data")
    assert partition.redshifts is None
    assert (partition.images == GALAXIES[0]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_any_floating_point_type_becomes_float32(dtype):
    tensors = [torch.from_numpy(array).to(dtype) for array in GALAXIES]
    partition = read_partition(published(*tensors))
    for array, tensor in zip((partition.images, partition.magnitudes, partition.redshifts), tensors, strict=True):
        assert array.dtype == np.float32
        assert (array == tensor.float().numpy()).all()
    names = ("images", "magnitudes", "redshifts")
    by_the_library = safetensors.torch.save(dict(zip(names, tensors, strict=True)))
    for wrap in (bytes, io.BytesIO):
        partition = read_partition(wrap(by_the_library))
        for name, tensor in zip(names, tensors, strict=True):
            array = getattr(partition, name)
            assert array.dtype == np.float32
            assert (array == tensor.float().numpy()).all()


def test_redshifts_may_be_a_column():
    images, magnitudes, redshifts = GALAXIES
    assert read_partition(published(images, magnitudes, redshifts[:, None])).redshifts.shape == (12,)


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=20)
def test_wide_images_are_cropped_to_their_centre(rows, seed, as_view):
    """64×64 with bands last, as a tensor of its own or as a view of one with bands first."""
    wide = np.random.default_rng(seed).normal(size=(rows, 64, 64, 5)).astype(np.float32)
    stored = torch.from_numpy(wide.transpose(0, 3, 1, 2).copy()).permute(0, 2, 3, 1) if as_view else wide
    images = read_partition(published(stored, np.ones((rows, 5)))).images
    assert images.shape == (rows, 5, 32, 32)
    assert images.flags.c_contiguous
    for row, band, y, x in np.random.default_rng(seed).integers((rows, 5, 32, 32), size=(20, 4)):
        assert images[row, band, y, x] == wide[row, 16 + y, 16 + x, band]


# --- rows and batches


@given(st.data())
def test_rows_and_batches_are_slices_of_the_whole(written, data):
    path = written[data.draw(st.sampled_from(FORMATS))]
    start = data.draw(st.integers(0, 12))
    stop = data.draw(st.integers(start, 12))
    wrap = data.draw(st.sampled_from([lambda data: data, io.BytesIO]))
    stream = open_partition(wrap(path.read_bytes()), rows=[start, stop])
    assert (stream.start, stream.stop, len(stream), stream.total_rows) == (start, stop, stop - start, 12)
    assert (stream.magnitudes == GALAXIES[1][start:stop]).all()
    assert (stream.redshifts == GALAXIES[2][start:stop]).all()
    batch_size = data.draw(st.integers(1, 15))
    batches = list(stream.images(batch_size))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert (np.concatenate([GALAXIES[0][:0], *batches]) == GALAXIES[0][start:stop]).all()
    whole = read_partition(wrap(path.read_bytes()), rows=[start, stop])
    assert (whole.images == GALAXIES[0][start:stop]).all()


@pytest.mark.parametrize("file_format", FORMATS)
def test_rows_are_counted_without_reading_them(written, file_format):
    read = []

    class Counted(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:
            read.append(len(buffer))
            return super().readinto(buffer)

    assert count_rows(Counted(written[file_format].read_bytes())) == 12
    assert sum(read) < ROW_BYTES / 4


@pytest.mark.parametrize("rows", [(-1, 3), (5, 4), (0, 13), (13, 14)])
def test_rows_that_are_not_there_are_refused(written, rows):
    with pytest.raises(PartitionMalformed, match=r"rows -?\d+ to \d+ were asked for; it has 12"):
        open_partition(written["pt"], rows=rows)


# --- values that are not finite


FILLS = [np.nan, -np.nan, np.inf, -np.inf, 1e38, -9999.0, 1e20, 1e300, -1e300, 0.0]


@given(st.data())
def test_any_fill_value_in_some_rows_leaves_the_others_as_they_are(data):
    """Of any type, in any container, by any rows and batches: what float32 makes of each value."""
    dtype = data.draw(st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
    tensors = [torch.from_numpy(array.copy()).to(dtype) for array in GALAXIES]
    bad = data.draw(st.lists(st.integers(0, 11), max_size=4, unique=True))
    for row in bad:
        values = tensors[data.draw(st.integers(0, 2))][row].reshape(-1)
        fill = torch.tensor(data.draw(st.sampled_from(FILLS)), dtype=torch.float64).to(dtype)
        values[data.draw(st.integers(0, len(values) - 1))] = fill
    if data.draw(st.booleans()):
        content = published(*tensors)
    else:
        content = safetensors.torch.save(dict(zip(("images", "magnitudes", "redshifts"), tensors, strict=True)))
    start = data.draw(st.integers(0, 11))
    wrap = data.draw(st.sampled_from([bytes, io.BytesIO]))
    stream = open_partition(wrap(content), rows=(start, 12))
    images = np.concatenate(list(stream.images(data.draw(st.integers(1, 12)))))
    for array, tensor in zip((images, stream.magnitudes, stream.redshifts), tensors, strict=True):
        expected = tensor.float().numpy()[start:]
        assert array.dtype == np.float32
        assert np.array_equal(array, expected, equal_nan=True)
        clean = [row - start for row in range(start, 12) if row not in bad]
        assert array[clean].tobytes() == expected[clean].tobytes()


# --- what is refused


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO])
@pytest.mark.parametrize("wide", [False, True])
def test_a_partition_without_galaxies_is_one_of_no_rows(wrap, wide):
    images, magnitudes, redshifts = (np.ascontiguousarray(array[:0]) for array in GALAXIES)
    if wide:
        images = np.empty((0, 64, 64, 5), np.float32)
    arrays = {"images": images, "magnitudes": magnitudes, "redshifts": redshifts}
    for data in (ours(**arrays), published(images, magnitudes, redshifts)):
        assert count_rows(wrap(data)) == 0
        partition = read_partition(wrap(data))
        assert (partition.images.shape, partition.magnitudes.shape) == ((0, 5, 32, 32), (0, 5))
        assert partition.redshifts.shape == (0,)


def test_no_galaxies_are_not_written(tmp_path):
    with pytest.raises(PartitionMalformed, match="holds no galaxies"):
        write_partition(tmp_path / "1.pt", GALAXIES[0][:0], GALAXIES[1][:0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", FORMATS)
@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_file_that_is_cut_off_is_refused(written, file_format, data):
    whole = written[file_format].read_bytes()
    part = whole[: data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 600))]
    for wrap in (bytes, io.BytesIO):
        with pytest.raises(PartitionMalformed):
            read_partition(wrap(part))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"not a partition at all", "neither a PyTorch archive"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.rest", "pickle is malformed"),  # PyTorch before 1.6
        (b"\x80\x02}.", "a pickle that torch.save has not written"),
        ((99).to_bytes(8, "little") + b"{}", "ends within its header"),
        ((2**40).to_bytes(8, "little") + b"{}", "neither"),
        ((2).to_bytes(8, "little") + b"{}", "it holds no images"),
        ((2).to_bytes(8, "little") + b"{]", "header is malformed"),
    ],
)
def test_other_files_are_refused(data, message):
    with pytest.raises(PartitionMalformed, match=message):
        read_partition(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PartitionMissing, match=r"nowhere\.pt: there is no such file"):
        read_partition(tmp_path / "nowhere.pt")


def test_what_could_not_be_read_is_not_written(tmp_path):
    images, magnitudes, redshifts = GALAXIES
    with pytest.raises(PartitionMalformed, match="lengths differ"):
        write_partition(tmp_path / "data", images, magnitudes[:3], redshifts)
    assert list(tmp_path.iterdir()) == []
