import gzip
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Subset, TensorDataset

from lambda_image.data.partition import ROW_BYTES, count_rows, open_partition, read_partition, write_partition
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import PartitionMalformed, PartitionMissing

FORMATS = ["safetensors", "pt"]


def galaxies(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.gamma(1.5, 0.6, (rows, 5, 32, 32)).astype(np.float32)
    return images, rng.normal(17, 1, (rows, 5)).astype(np.float32), rng.uniform(0, 0.4, rows).astype(np.float32)


GALAXIES = galaxies(12)


def published(*arrays: np.ndarray | torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(TensorDataset(*(torch.as_tensor(array) for array in arrays)), buffer)
    return buffer.getvalue()


def ours(**arrays: np.ndarray) -> bytes:
    """By the safetensors library, whose order is not the one that we write."""
    return safetensors.numpy.save(arrays)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    for file_format in FORMATS:
        write_partition(folder / f"data.{file_format}", *GALAXIES, file_format=file_format)
    return {file_format: folder / f"data.{file_format}" for file_format in FORMATS}


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


def test_pytorch_reads_what_we_write(written):
    for options in ({"weights_only": False}, {"weights_only": False, "mmap": True}):
        dataset = torch.load(written["pt"], **options)
        assert type(dataset) is TensorDataset
        assert [tensor.shape for tensor in dataset.tensors] == [(12, 5, 32, 32), (12, 5), (12,)]
        assert all((tensor.numpy() == array).all() for tensor, array in zip(dataset.tensors, GALAXIES, strict=True))
        assert all(tensor.data_ptr() % 64 == 0 for tensor in dataset.tensors)


def test_the_safetensors_library_reads_what_we_write(written):
    read = safetensors.numpy.load_file(written["safetensors"])
    for name, array in zip(("images", "magnitudes", "redshifts"), GALAXIES, strict=True):
        assert (read[name] == array).all()


def test_images_come_last_so_that_they_can_be_streamed(written):
    data = written["safetensors"].read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert sorted(header, key=lambda name: header[name]["data_offsets"]) == ["magnitudes", "redshifts", "images"]
    assert len(data) == pytest.approx(12 * ROW_BYTES, rel=0.01)


@pytest.mark.parametrize("file_format", FORMATS)
def test_redshifts_are_optional(file_format, tmp_path):
    write_partition(tmp_path / "data", *GALAXIES[:2], file_format=file_format)
    partition = read_partition(tmp_path / "data")
    assert partition.redshifts is None
    assert (partition.images == GALAXIES[0]).all()


def test_reads_the_published_partition(shared, tmp_path):
    path = tmp_path / "published.pt"
    path.write_bytes(gzip.decompress((shared / "golden" / "published_format_partition.pt.gz").read_bytes()))
    partition = read_partition(path)
    rng = np.random.Generator(np.random.PCG64(20260122))  # golden/weights.py
    images = rng.gamma(1.5, 0.6, size=(32, 5, 32, 32)).astype(np.float32)
    magnitudes = np.array([19.0, 17.5, 16.8, 16.4, 16.2]) + 0.8 * rng.standard_normal((32, 5))
    redshifts = rng.uniform(0, 0.4, 32).astype(np.float32)
    assert (partition.images == images).all()
    assert (partition.magnitudes == magnitudes.astype(np.float32)).all()
    assert (partition.redshifts == redshifts).all()
    assert count_rows(path) == 32


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
@settings(deadline=None, max_examples=60)
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
@settings(deadline=None, max_examples=60)
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


# --- other sizes than the published ones


def of_sizes(sizes: Sizes, rows: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    images, magnitudes = rng.random((rows, *sizes.image), np.float32), rng.random((rows, sizes.magnitudes), np.float32)
    return images, magnitudes, rng.random(rows, np.float32)


@pytest.mark.parametrize("sizes", [Sizes(6, 64, 6), Sizes(3, 7, 0), Sizes(5, 64, 5), Sizes(4, 4, 9), Sizes(1, 1, 1)])
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("asked", [True, False])
def test_any_sizes_come_back_as_they_were_written(tmp_path, sizes, file_format, asked):
    arrays = of_sizes(sizes)
    write_partition(tmp_path / "data", *arrays, file_format=file_format)
    stream = open_partition(tmp_path / "data", rows=(1, 4), sizes=sizes if asked else None)
    assert stream.sizes == sizes
    assert count_rows(tmp_path / "data", sizes=sizes) == 4
    part = read_partition(tmp_path / "data", sizes=sizes if asked else None)
    for array, expected in zip((part.images, part.magnitudes, part.redshifts), arrays, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("asked", [Sizes(6, 64, 6), Sizes(6, 40, 6), None])
def test_images_with_the_bands_last_are_cut_to_the_size_that_is_asked_for(asked):
    images, magnitudes, redshifts = of_sizes(Sizes(6, 64, 6))
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    margin = (64 - (asked.side if asked else 64)) // 2
    expected = images[:, :, margin : 64 - margin, margin : 64 - margin]
    for data in (ours(images=last, magnitudes=magnitudes), published(last, magnitudes, redshifts)):
        np.testing.assert_array_equal(read_partition(data, sizes=asked).images, expected)


def test_a_published_cutout_is_whole_for_a_network_of_its_size():
    wide = np.random.default_rng(3).random((2, 64, 64, 5), np.float32)
    data = ours(images=wide, magnitudes=np.ones((2, 5), np.float32))
    assert read_partition(data).images.shape == (2, 5, 32, 32)
    np.testing.assert_array_equal(
        read_partition(data, sizes=Sizes(5, 64, 5)).images, wide.transpose(0, 3, 1, 2), strict=True
    )


@pytest.mark.parametrize("redshifts", [True, False])
def test_magnitudes_may_be_absent_where_no_network_asks_for_them(redshifts):
    images, _, known = of_sizes(Sizes(2, 3, 0))
    given = {"redshifts": known} if redshifts else {}
    for data in (ours(images=images, **given), published(images, *given.values())):
        for sizes in (None, Sizes(2, 3, 0)):
            part = read_partition(data, sizes=sizes)
            assert part.magnitudes.shape == (4, 0)
            assert (part.redshifts is not None) == redshifts
        with pytest.raises(PartitionMalformed, match=r"it holds no magnitudes; \[N, 2\] are needed"):
            read_partition(data, sizes=Sizes(2, 3, 2))


def test_a_network_without_magnitudes_leaves_those_of_a_file_unread():
    part = read_partition(ours(images=GALAXIES[0], magnitudes=GALAXIES[1]), sizes=Sizes(5, 32, 0))
    assert part.magnitudes.shape == (12, 0)


@pytest.mark.parametrize(
    ("shape", "sizes", "message"),
    [
        ((2, 6, 64, 64), PUBLISHED, r"\[2, 6, 64, 64\]; \[N, 5, 32, 32\] or \[N, 64, 64, 5\] is needed"),
        ((2, 5, 32, 32), Sizes(6, 64, 6), r"\[2, 5, 32, 32\]; \[N, 6, 64, 64\] or \[N, 64, 64, 6\] is needed"),
        ((2, 63, 63, 6), Sizes(6, 32, 6), "is needed"),
        ((2, 16, 16, 6), Sizes(6, 32, 6), "is needed"),
        ((2, 5, 32, 31), None, r"\[N, bands, side, side\] or \[N, side, side, bands\] is needed"),
        ((2, 5, 32), None, "is needed"),
        ((2, 0, 4, 4), None, "is needed"),
        ((0, 5, 2**30, 2**30), None, "is needed"),
        ((0, 2**40, 2, 2), None, "is needed"),
    ],
)
def test_images_of_no_fitting_size_are_refused(shape, sizes, message):
    count = sizes.magnitudes if sizes else 5
    entries = {"magnitudes": (shape[0], count), "images": shape}
    end, header = 0, {}
    for name, stored in entries.items():
        start, end = end, end + 4 * math.prod(stored)
        header[name] = {"dtype": "F32", "shape": stored, "data_offsets": [start, end]}
    with pytest.raises(PartitionMalformed, match=rf"^partition: images have the shape .*{message}"):
        read_partition(header_only(**header) + bytes(end), sizes=sizes)


@pytest.mark.parametrize("shape", [(4,), (4, 2, 2), (4, 1001)])
def test_magnitudes_of_no_fitting_shape_are_refused(shape):
    images = of_sizes(Sizes(2, 3, 0))[0]
    data = ours(images=images, magnitudes=np.zeros(shape, np.float32))
    with pytest.raises(PartitionMalformed, match=r"magnitudes have the shape .*; \[N, M\] is needed"):
        read_partition(data)


def test_a_numbered_magnitude_is_reserved_where_the_table_has_such_columns():
    column = {"mag_1": np.ones(4, np.float32)}
    images, magnitudes, _ = of_sizes(Sizes(2, 3, 2))
    with pytest.raises(PartitionMalformed, match="column 'mag_1' has a name that the table of predictions uses"):
        read_partition(ours(images=images, magnitudes=magnitudes, **column))
    five = ours(images=GALAXIES[0], magnitudes=GALAXIES[1], mag_1=np.ones(12, np.float32))
    assert list(read_partition(five).columns) == ["mag_1"]


# --- what is refused


BAD = {
    r"images have the shape \[12, 5, 32, 31\]; \[N, 5, 32, 32\] or": {"images": GALAXIES[0][..., :31]},
    r"images have the shape \[12, 5, 64, 64\]": {"images": np.zeros((12, 5, 64, 64), np.float32)},
    r"images have the shape \[12, 5120\]": {"images": GALAXIES[0].reshape(12, -1)},
    r"magnitudes have the shape \[12, 4\]; \[N, 5\] is": {"magnitudes": GALAXIES[1][:, :4]},
    r"redshifts have the shape \[12, 2\]; \[N\] or \[N, 1\] is": {"redshifts": np.zeros((12, 2))},
    "lengths differ: 12 images, 11 magnitudes, 12 redshifts": {"magnitudes": GALAXIES[1][:11]},
    "lengths differ: 12 images, 12 magnitudes, 1 redshifts": {"redshifts": np.zeros(1)},
    "images are (int32|I32); ": {"images": np.zeros((12, 5, 32, 32), np.int32)},
}


@pytest.mark.parametrize("message", BAD)
def test_names_the_object_and_what_is_wrong(message):
    names = ("images", "magnitudes", "redshifts")
    arrays = {**dict(zip(names, GALAXIES, strict=True)), **BAD[message]}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    datas = [ours(**arrays)]
    if "lengths" not in message:  # those TensorDataset itself refuses
        datas.append(published(*arrays.values()))
    for data in datas:
        for wrap in (bytes, io.BytesIO):
            with pytest.raises(PartitionMalformed, match=rf"^bad/1: .*{message}") as caught:
                read_partition(wrap(data), name="bad/1", sizes=PUBLISHED)
            assert caught.value.object == "bad/1"


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


def test_an_appended_file_is_refused(written):
    with pytest.raises(PartitionMalformed, match="should have 2"):
        read_partition(written["safetensors"].read_bytes() + b"\0")


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


def header_only(**entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def entry(dtype: object = "F32", shape: object = (1, 5), offsets: object = (0, 20)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("magnitudes", "message"),
    [
        (entry(shape=[2**62, 5], offsets=[0, 5 * 2**64]), "malformed"),
        (entry(shape=[2**50, 5], offsets=[0, 5 * 2**52]), "should have|cannot lie"),
        (entry(shape=[-1, 5]), "malformed"),
        (entry(shape=[1.0, 5]), "malformed"),
        (entry(shape="15"), "malformed"),
        (entry(shape=[2**62] * 40_000), "40,000 sizes"),  # whose product takes minutes, and whose text 840 kB
        (entry(shape=[1] * 300_000, offsets=[0, 4]), "300,000 sizes"),
        (entry(offsets=[0] * 300_000), "300,000 sizes"),
        (entry(offsets=[4, 24]), "magnitudes of shape .* cannot lie at bytes"),
        (entry(offsets=[0, 19]), "cannot lie"),
        (entry(offsets=[0]), "cannot lie"),
        (entry(dtype="I8", shape=[4, 5]), "magnitudes are int8"),
        (entry(dtype="F8_E4M3", shape=[4, 5]), "magnitudes are F8_E4M3"),
        (None, "malformed"),
        ([], "malformed"),
    ],
)
def test_malformed_headers_are_refused(magnitudes, message):
    images = entry(shape=[1, 5, 32, 32], offsets=[20, 20 + 4 * 5120])
    data = header_only(magnitudes=magnitudes, images=images) + bytes(20 + 4 * 5120)
    with pytest.raises(PartitionMalformed, match=message):
        read_partition(data)


def test_a_header_cannot_claim_memory_that_is_not_there():
    rows = 2**40
    magnitudes = entry(shape=[rows, 5], offsets=[0, 20 * rows])
    images = entry(shape=[rows, 5, 32, 32], offsets=[20 * rows, 20 * rows + 20480 * rows])
    with pytest.raises(PartitionMalformed, match="it should have"):
        open_partition(io.BytesIO(header_only(magnitudes=magnitudes, images=images) + bytes(1000)))


def test_other_pickles_are_refused():
    buffer = io.BytesIO()
    torch.save(Subset(TensorDataset(torch.ones(3, 5)), [0]), buffer)
    with pytest.raises(
        PartitionMalformed,
        match="it is a Subset of PyTorch and no TensorDataset: `cosmicai import FILE --bands u,g,r,i,z",
    ):
        read_partition(buffer.getvalue())
    buffer = io.BytesIO()
    torch.save({"images": torch.ones(3, 5)}, buffer)
    with pytest.raises(PartitionMalformed, match="something else than the TensorDataset"):
        read_partition(buffer.getvalue())
    empty = TensorDataset(torch.ones(1))
    empty.tensors = ()
    buffer = io.BytesIO()
    torch.save(empty, buffer)
    with pytest.raises(PartitionMalformed, match="has no tensors"):
        read_partition(buffer.getvalue())


def test_damaged_pixels_are_found_by_the_checksum(written):
    data = bytearray(written["pt"].read_bytes())
    data[len(data) // 2] ^= 1
    for wrap in (bytes, io.BytesIO):
        with pytest.raises(PartitionMalformed, match="data/0 is damaged"):
            read_partition(wrap(data))


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_damaged_pixels_are_found_where_a_run_reads_them_in_batches(written, batch_size):
    data = bytearray(written["pt"].read_bytes())
    assert sum(map(len, open_partition(io.BytesIO(data)).images(batch_size))) == 12
    data[len(data) // 2] ^= 1
    stream = open_partition(io.BytesIO(data))
    with pytest.raises(PartitionMalformed, match=r"data/0 is damaged.*fetch it again"):
        list(stream.images(batch_size))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_file_of_pytorch_before_1_6_is_read(protocol):
    buffer = io.BytesIO()
    dataset = TensorDataset(*map(torch.from_numpy, GALAXIES))
    torch.save(dataset, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    for wrap in (bytes, io.BytesIO):
        partition = read_partition(wrap(buffer.getvalue()), rows=(2, 9))
        for array, expected in zip(
            (partition.images, partition.magnitudes, partition.redshifts), GALAXIES, strict=True
        ):
            assert (array == expected[2:9]).all()


def test_a_header_of_128_bytes_does_not_look_like_a_pickle():
    images, magnitudes, _ = GALAXIES
    data = ours(images=images, magnitudes=magnitudes)
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), separators=(",", ":")).encode()
    assert len(header) <= 0x180
    padded = header.ljust(0x180)
    assert len(read_partition(len(padded).to_bytes(8, "little") + padded + data[8 + length :])) == 12


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PartitionMissing, match=r"nowhere\.pt: there is no such file"):
        read_partition(tmp_path / "nowhere.pt")


def test_what_could_not_be_read_is_not_written(tmp_path):
    images, magnitudes, redshifts = GALAXIES
    with pytest.raises(PartitionMalformed, match="lengths differ"):
        write_partition(tmp_path / "data", images, magnitudes[:3], redshifts)
    assert list(tmp_path.iterdir()) == []
