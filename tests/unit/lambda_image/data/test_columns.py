import io
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from lambda_image.data.columns import MAX_COLUMNS, RESERVED, join_columns
from lambda_image.data.dataset import read_dataset
from lambda_image.data.partition import Partition, count_rows, open_partition, read_partition, write_partition
from lambda_image.errors import PartitionMalformed

ROWS = 7
IMAGES = np.random.default_rng(1).random((ROWS, 5, 32, 32), np.float32)
MAGNITUDES = np.random.default_rng(2).random((ROWS, 5), np.float32)
REDSHIFTS = np.random.default_rng(3).random(ROWS, np.float32)
IDS = 10**17 + 3 * np.arange(ROWS)  # of 18 digits, which no float64 holds
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "bool"]


@st.composite
def columns(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Any bits of any type, NaN and the largest integers among them, and any text."""
    names = draw(st.lists(st.sampled_from(["objid", "TARGETID", "ra", "dec", "é\"'", "a b"]), max_size=4, unique=True))
    drawn = {}
    for name in names:
        dtype = draw(st.sampled_from([*DTYPES, "text"]))
        if dtype == "text":
            texts = draw(
                st.lists(
                    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), min_size=7, max_size=7
                )
            )
            drawn[name] = np.array([text.encode() for text in texts], np.bytes_)
        elif dtype == "bool":
            drawn[name] = np.array(draw(st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)))
        else:
            size = ROWS * np.dtype(dtype).itemsize
            drawn[name] = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype)
    return drawn


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return list(one) == list(other) and all(
        values.dtype == other[name].dtype and values.tobytes() == other[name].tobytes() for name, values in one.items()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose files each example replaces."""
    return tmp_path_factory.mktemp("columns")


@given(columns(), st.sampled_from(["safetensors", "pt"]), st.booleans(), st.data())
@settings(deadline=None, max_examples=40)
def test_columns_of_any_type_come_back_bit_for_bit(folder, given_columns, file_format, with_truth, data):
    path = folder / "data"
    rows = IDS if data.draw(st.booleans()) else None
    truth = REDSHIFTS if with_truth else None
    write_partition(path, IMAGES, MAGNITUDES, truth, file_format=file_format, columns=given_columns, rows=rows)
    start = data.draw(st.integers(0, ROWS))
    stop = data.draw(st.integers(start, ROWS))
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        stream = open_partition(source, rows=(start, stop))
        assert same(stream.columns, {name: values[start:stop] for name, values in given_columns.items()})
        assert stream.rows.dtype == np.int64
        assert (stream.rows == (np.arange(ROWS) if rows is None else rows)[start:stop]).all()
        images = np.concatenate([IMAGES[:0], *stream.images(2)])
        assert images.flags.aligned
        assert (images == IMAGES[start:stop]).all()
        assert (stream.magnitudes == MAGNITUDES[start:stop]).all()
        assert (stream.redshifts is None) == (truth is None)
    whole = read_partition(path)
    assert same(whole.columns, given_columns)
    assert all(values.flags.aligned for values in whole.columns.values())
    assert count_rows(path) == ROWS


@given(columns())
@settings(deadline=None, max_examples=20)
def test_the_libraries_read_the_columns_that_we_write(folder, given_columns):
    for file_format in ("safetensors", "pt"):
        write_partition(
            folder / file_format, IMAGES, MAGNITUDES, REDSHIFTS, file_format=file_format, columns=given_columns
        )
    dataset = torch.load(folder / "pt", weights_only=False)
    assert len(dataset.tensors) == 3  # as programs expect that read the published partitions
    by_torch = {name: tensor.numpy() for name, tensor in getattr(dataset, "columns", {}).items()}
    by_safetensors = safetensors.numpy.load_file(folder / "safetensors")
    assert (by_safetensors["images"] == IMAGES).all()
    for read in (by_torch, by_safetensors):
        for name, values in given_columns.items():
            assert read[name].tobytes() == values.tobytes()
            assert read[name].dtype == (np.uint8 if values.dtype.kind == "S" else values.dtype)


def test_images_come_last_behind_the_columns(tmp_path: Path):
    write_partition(tmp_path / "data", IMAGES, MAGNITUDES, REDSHIFTS, columns={"ra": REDSHIFTS, "objid": IDS}, rows=IDS)
    data = (tmp_path / "data").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    in_order = sorted(header, key=lambda name: header[name]["data_offsets"])
    assert in_order == ["magnitudes", "redshifts", "row", "ra", "objid", "images"]


def saved(**arrays: np.ndarray) -> bytes:
    return safetensors.numpy.save({"images": IMAGES, "magnitudes": MAGNITUDES, **arrays})


def published(*tensors: np.ndarray | torch.Tensor, **named: torch.Tensor) -> bytes:
    dataset = TensorDataset(*map(torch.as_tensor, [IMAGES, MAGNITUDES, REDSHIFTS, *tensors]))
    if named:
        dataset.columns = named
    buffer = io.BytesIO()
    torch.save(dataset, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", DTYPES)
def test_further_tensors_of_the_published_format_are_columns(dtype: str):
    values = torch.arange(ROWS).to(getattr(torch, dtype))
    column = open_partition(published(np.ones(ROWS), values, np.ones(ROWS))).columns
    name = "object_id" if dtype == "int64" else "column_5"
    assert list(column) == ["column_4", name, "column_6"]
    assert same({name: column[name]}, {name: values.numpy()})


def test_two_ids_of_the_published_format_are_called_by_their_places():
    assert list(open_partition(published(IDS, IDS)).columns) == ["column_4", "column_5"]
    assert (open_partition(published(IDS)).columns["object_id"] == IDS).all()


def test_text_of_the_published_format():
    texts = np.array([f"SDSS J{index}é" for index in range(ROWS)])
    stored = np.char.encode(texts, "utf-8").view(np.uint8).reshape(ROWS, -1)
    read = open_partition(published(stored), rows=(2, 5)).columns["column_4"]
    assert [text.decode() for text in read.tolist()] == texts[2:5].tolist()


def test_bfloat16_is_widened():
    values = torch.arange(ROWS).to(torch.bfloat16)
    tensors = {"images": torch.as_tensor(IMAGES), "magnitudes": torch.as_tensor(MAGNITUDES), "x": values}
    for data in (published(x=values), safetensors.torch.save(tensors)):
        assert same(open_partition(data).columns, {"x": np.arange(ROWS, dtype=np.float32)})


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_rows_may_be_of_any_integer_type(dtype: str):
    stream = open_partition(saved(row=np.arange(ROWS)[::-1].astype(dtype)), rows=(1, 3))
    assert stream.rows.dtype == np.int64
    assert stream.rows.tolist() == [5, 4]
    assert stream.columns == {}


BAD = {
    r"'x' has the shape \[6\]; \[7\], or for text uint8 \[7, W\], is needed": {"x": np.zeros(6)},
    r"'x' has the shape \[7, 2\]": {"x": np.zeros((7, 2))},
    r"'x' has the shape \[7, 2, 2\]": {"x": np.zeros((7, 2, 2), np.uint8)},
    "'x' has texts of 257 bytes; 1 to 256 are allowed": {"x": np.zeros((7, 257), np.uint8)},
    "'x' holds text that is not UTF-8 in row 6": {"x": np.array([b""] * 6 + [b"\xc3"]).view(np.uint8).reshape(7, 1)},
    "'row' is float64; whole numbers": {"row": np.zeros(7)},
    "'row' is uint64; whole numbers": {"row": np.zeros(7, np.uint64)},
    r"'row' has the shape \[7, 1\]": {"row": np.zeros((7, 1), np.uint8)},
    r"'' needs a printable name": {"": np.zeros(7)},
    r"'a\\nb' needs a printable name": {"a\nb": np.zeros(7)},
    r"'x+' needs a printable name": {"x" * 101: np.zeros(7)},
    "has 65 columns .*; 64 can be": {f"x{index}": np.zeros(7) for index in range(MAX_COLUMNS + 1)},
    "x are C64": {"x": np.zeros(7, np.complex64)},
    **{
        f"'{name}' has a name that the table": {name: REDSHIFTS}
        for name in sorted(RESERVED - {"images", "magnitudes", "redshifts"})
    },
}


@pytest.mark.parametrize("message", BAD)
def test_a_column_that_cannot_travel_is_refused_by_name(message: str):
    for wrap in (bytes, io.BytesIO):
        with pytest.raises(PartitionMalformed, match=f"^bad: .*{message}") as caught:
            read_partition(wrap(saved(**BAD[message])), name="bad")
        assert "\n" not in str(caught.value)


def test_an_attribute_of_another_meaning_is_left_alone():
    assert read_partition(published(x=3)).columns == {}


def test_a_name_that_a_dataset_has_twice_is_refused():
    with pytest.raises(PartitionMalformed, match="'images' is there twice"):
        read_partition(published(images=torch.as_tensor(IMAGES)))


def test_columns_of_which_one_is_no_tensor_are_not_lost_silently():
    with pytest.raises(PartitionMalformed, match="its column name is no tensor that can be read"):
        read_partition(published(objid=torch.as_tensor(IDS), name=["a"] * ROWS))


def test_what_could_not_be_read_is_not_written(tmp_path: Path):
    missing = np.ma.MaskedArray(IDS, IDS[3] == IDS)
    for given_columns, message in (
        ({"x": IDS[:3]}, r"'x' has the shape \[3\]"),
        ({"x": missing}, "'x' lacks values"),
        ({"quality": IDS}, "'quality' has a name"),
        ({"images": IDS}, "'images' has the name"),
        ({"x": IDS.astype(object)}, "'x' is object"),
    ):
        with pytest.raises(PartitionMalformed, match=message):
            write_partition(tmp_path / "data", IMAGES, MAGNITUDES, columns=given_columns)
    assert list(tmp_path.iterdir()) == []


def test_a_partition_without_rows_counts_them():
    partition = Partition(IMAGES, MAGNITUDES, None)
    assert partition.rows.tolist() == list(range(ROWS))
    assert partition.columns == {}


# --- joining


def test_a_folder_joins_the_columns_of_its_files(tmp_path: Path):
    write_partition(tmp_path / "1.pt", IMAGES, MAGNITUDES, file_format="pt", columns={"objid": IDS, "ra": REDSHIFTS})
    write_partition(tmp_path / "2.safetensors", IMAGES, MAGNITUDES, columns={"objid": IDS + 1}, rows=np.arange(90, 97))
    dataset = read_dataset(tmp_path)
    assert dataset.columns["objid"].tolist() == [*IDS, *IDS + 1]
    assert dataset.columns["ra"].mask.tolist() == [False] * ROWS + [True] * ROWS
    assert dataset.rows.tolist() == [*range(ROWS), *range(90, 97)]


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (np.array([1], np.int32), np.array([10**17 + 1]), np.array([1, 10**17 + 1])),
        (np.array([1], np.uint8), np.array([-1], np.int8), np.array([1, -1], np.int16)),
        (np.array([0.5], np.float16), np.array([0.1]), np.array([0.5, 0.1])),
        (np.array([b"a"]), np.array([b"long"]), np.array([b"a", b"long"])),
        (np.array([2**64 - 1], np.uint64), np.array([-1]), np.array([b"18446744073709551615", b"-1"])),
        (np.array([10**17 + 1]), np.array([0.5]), np.array([b"100000000000000001", b"0.5"])),
        (np.array([10**17 + 1]), np.array([b"x"]), np.array([b"100000000000000001", b"x"])),
        (np.array([True]), np.array([7]), np.array([b"True", b"7"])),
    ],
)
def test_no_value_is_lost_where_types_differ(one, other, joined):
    got = join_columns([(1, {"x": one}), (1, {"x": other})])["x"]
    assert got.tolist() == joined.tolist()
    assert got.dtype.kind == joined.dtype.kind


@given(st.lists(columns(), max_size=4))
def test_joining_keeps_every_value_and_masks_what_is_missing(parts):
    joined = join_columns([(ROWS, part) for part in parts])
    assert set(joined) == {name for part in parts for name in part}
    for name, values in joined.items():
        assert len(values) == ROWS * len(parts)
        mask = np.ma.getmaskarray(values).reshape(len(parts), ROWS)
        assert mask.tolist() == [[name not in part] * ROWS for part in parts]
        if len({part[name].dtype for part in parts if name in part}) == 1:
            kept = np.concatenate([part[name] for part in parts if name in part])
            assert np.ma.getdata(values)[~mask.reshape(-1)].tobytes() == kept.tobytes()
