import io
import math

import numpy as np
import pytest

from lambda_image.data.partition import count_rows, open_partition, read_partition, write_partition
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import PartitionMalformed
from tests.unit.lambda_image.data.galaxy_files import FORMATS, GALAXIES, header_only, of_sizes, ours, published


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
