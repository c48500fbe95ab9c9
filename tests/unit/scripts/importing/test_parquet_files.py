import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import as_numbers
from scripts.importing.opening import open_file, open_sources
from scripts.importing.parquet_files import open_parquet

N = 12
ROWS = [(0, N), (3, 7), (7, 9), (1, 2), (N - 1, N)]  # also back
STAMPS = np.random.default_rng(0).random((N, 4, 6, 6), np.float32)
BANDS = ["des-g", "des-r", "des-i", "des-z"]


def test_rows_of_plain_columns(tmp_path):
    columns = {
        "objid": 10**17 + np.arange(N),
        "unsigned": np.arange(N).astype("u8") + np.uint64(2**63),
        "ra": np.linspace(0, 360, N),
        "half": np.arange(N).astype("f2"),
        "flag": np.arange(N) % 3 == 0,
        "word": [f"gälaxy {row}" for row in range(N)],
    }
    table = pa.table(columns).append_column("kind", pa.array(["a", "b"] * (N // 2)).dictionary_encode())
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=5)
    contents = open_parquet(tmp_path / "a.parquet")
    types = ["int64", "uint64", "float64", "float16", "bool", "text", "text"]
    assert [column.dtype for column in contents.arrays.values()] == types
    for start, stop in ROWS:
        for name, column in contents.arrays.items():
            expected = table[name].to_pylist()[start:stop]
            got = column.read(start, stop).tolist()
            assert [value.decode() if isinstance(value, bytes) else value for value in got] == expected


def test_nulls_are_masked(tmp_path):
    columns = {"objid": [1, None, 3], "ra": [1.0, None, np.nan], "word": ["a", None, "c"], "flag": [True, None, False]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    arrays = open_parquet(tmp_path / "a.parquet").arrays
    for name in ("objid", "ra", "flag"):
        assert np.ma.getmaskarray(arrays[name].read(0, 3)).tolist() == [False, True, False]
    assert arrays["objid"].read(0, 3).dtype == np.int64
    np.testing.assert_array_equal(as_numbers(arrays["ra"].read(0, 3)), [1, np.nan, np.nan])
    assert arrays["word"].read(0, 3).tolist() == [b"a", b"", b"c"]


def struct_of_lists() -> pa.Array:
    """As the `datasets` library stores a Sequence of features, and so the Multimodal Universe on Hugging Face."""
    rows = [
        {"band": BANDS, "flux": STAMPS[n].tolist(), "scale": [0.262] * 4, "mask": (STAMPS[n] > 0).tolist()}
        for n in range(N)
    ]
    return pa.array(rows)


def list_of_structs() -> pa.Array:
    rows = [[{"band": band, "flux": STAMPS[n, b].tolist(), "scale": 0.262, "mask": (STAMPS[n, b] > 0).tolist()}
             for b, band in enumerate(BANDS)] for n in range(N)]  # fmt: skip
    return pa.array(rows)


def fixed_lists() -> pa.Array:
    kind = pa.float32()
    for size in (6, 6, 4):
        kind = pa.list_(kind, size)
    return pa.array(STAMPS.tolist(), kind)


@pytest.mark.parametrize("images", [struct_of_lists, list_of_structs])
def test_images_within_structures_are_arrays(tmp_path, images):
    pq.write_table(pa.table({"image": images()}), tmp_path / "a.parquet", row_group_size=5)
    arrays = open_parquet(tmp_path / "a.parquet").arrays
    assert {name: column.shape for name, column in arrays.items()} == {
        "image.band": (N, 4),
        "image.flux": (N, 4, 6, 6),
        "image.scale": (N, 4),
        "image.mask": (N, 4, 6, 6),
    }
    for start, stop in ROWS:
        np.testing.assert_allclose(arrays["image.flux"].read(start, stop), STAMPS[start:stop])
    assert arrays["image.band"].read(0, 1).tolist() == [[band.encode() for band in BANDS]]


def test_lists_of_a_fixed_size_are_arrays(tmp_path):
    pq.write_table(pa.table({"stamps": fixed_lists()}), tmp_path / "a.parquet")
    column = open_parquet(tmp_path / "a.parquet").arrays["stamps"]
    np.testing.assert_array_equal(column.read(2, 9), STAMPS[2:9])


def test_a_galaxy_without_images_is_masked(tmp_path):
    rows = struct_of_lists().to_pylist()
    rows[3]["flux"] = None
    pq.write_table(pa.table({"image": pa.array(rows)}), tmp_path / "a.parquet")
    read = open_parquet(tmp_path / "a.parquet").arrays["image.flux"].read(2, 5)
    mask = np.ma.getmaskarray(read)
    assert mask[1].all()
    assert not mask[[0, 2]].any()
    np.testing.assert_allclose(read[0], STAMPS[2])
    np.testing.assert_allclose(read[2], STAMPS[4])


def test_galaxies_without_images_need_nothing_that_another_program_has_imported(tmp_path):
    images = pa.array([None, *struct_of_lists().to_pylist()[1:]], struct_of_lists().type)
    pq.write_table(pa.table({"image": images}), tmp_path / "a.parquet")
    program = (
        "from pathlib import Path; from scripts.importing.parquet_files import open_parquet; "
        f"print(open_parquet(Path({str(tmp_path / 'a.parquet')!r})).arrays['image.scale'].read(0, 2).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[[None, None, None, None], [0.262, 0.262, 0.262, 0.262]]\n"


def test_a_column_without_any_value_is_masked(tmp_path):
    for number, column in enumerate((pa.array([1, 2]), pa.nulls(3))):
        pq.write_table(pa.table({"objid": column}), tmp_path / f"{number}.parquet")
    assert open_parquet(tmp_path / "1.parquet").arrays["objid"].dtype == "null"
    both, _ = open_sources([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert both.arrays["objid"].dtype == "int64"
    read = both.arrays["objid"].read(0, 5)
    assert np.ma.getmaskarray(read).tolist() == [False, False, True, True, True]
    assert read.dtype == np.int64  # or long ids would be rounded


def test_null_pixels_are_masked(tmp_path):
    rows = struct_of_lists().to_pylist()
    rows[3]["flux"][1][2][3] = None
    pq.write_table(pa.table({"image": pa.array(rows)}), tmp_path / "a.parquet")
    mask = np.ma.getmaskarray(open_parquet(tmp_path / "a.parquet").arrays["image.flux"].read(2, 5))
    assert mask.sum() == 1
    assert mask[1, 1, 2, 3]


def test_lists_of_several_lengths_are_no_arrays(tmp_path):
    first = pa.table({"mags": [[1.0, 2.0], [3.0, 4.0], [5.0]]})
    pq.write_table(first, tmp_path / "a.parquet")
    column = open_parquet(tmp_path / "a.parquet").arrays["mags"]
    assert column.shape == (3, 2)
    assert column.read(0, 2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(PartitionMalformed, match=r"a\.parquet: mags has lists of other lengths in row 2 than before"):
        column.read(1, 3)


@pytest.mark.parametrize("bad", [STAMPS[5, :3], STAMPS[5, :, :5], STAMPS[5, :, :, :5], STAMPS[5].transpose(1, 0, 2)])
@pytest.mark.parametrize("rows_in_group", [N, 4, 1])
def test_the_row_is_named_whose_lists_have_other_lengths(tmp_path, bad, rows_in_group):
    rows = [bad.tolist() if row == 5 else stamp.tolist() for row, stamp in enumerate(STAMPS)]
    pq.write_table(pa.table({"stamps": rows}), tmp_path / "a.parquet", row_group_size=rows_in_group)
    column = open_parquet(tmp_path / "a.parquet").arrays["stamps"]
    np.testing.assert_allclose(column.read(0, 5), STAMPS[:5])
    with pytest.raises(PartitionMalformed, match=r"in row 5 than before, which are \[4, 6, 6\]: leave that row out"):
        column.read(2, 9)


@pytest.mark.parametrize("nothing", [None, [], [[]], [[], [], [], []], [[[]] * 6] * 4])
@pytest.mark.parametrize("where", [{0}, {3}, {3, 4, 5}, set(range(11))])
@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_rows_whose_lists_are_empty_hold_no_images(tmp_path, nothing, where, kind):
    rows = [nothing if row in where else stamp.tolist() for row, stamp in enumerate(STAMPS)]
    array = pa.array(rows, kind(kind(kind(pa.float32()))))
    pq.write_table(pa.table({"stamps": array}), tmp_path / "a.parquet", row_group_size=5)
    column = open_parquet(tmp_path / "a.parquet").arrays["stamps"]
    assert column.shape == STAMPS.shape
    for start, stop in ROWS:
        read, absent = column.read(start, stop), [row in where for row in range(start, stop)]
        mask = np.ma.getmaskarray(read)
        np.testing.assert_array_equal(mask.all(axis=(1, 2, 3)), absent)
        assert not mask[np.logical_not(absent)].any()
        for row in set(range(start, stop)) - where:
            np.testing.assert_array_equal(read[row - start], STAMPS[row])


def test_a_unit_in_the_metadata_of_a_field_is_read(tmp_path):
    field = pa.field("flux", pa.float64(), metadata={"unit": "nJy"})
    pq.write_table(pa.table([pa.array([1.0])], schema=pa.schema([field])), tmp_path / "a.parquet")
    assert open_parquet(tmp_path / "a.parquet").units == {"flux": "nJy"}


def test_columns_behind_a_map_are_themselves(tmp_path):
    kind = pa.map_(pa.string(), pa.struct([("a", pa.int64()), ("b", pa.list_(pa.int64()))]))
    table = pa.table({"notes": pa.array([[("x", {"a": 1, "b": [2]})]] * 2, kind), "objid": [7, 8]})
    pq.write_table(table, tmp_path / "a.parquet")
    arrays = open_parquet(tmp_path / "a.parquet").arrays
    assert list(arrays) == ["objid"]
    assert arrays["objid"].read(0, 2).tolist() == [7, 8]


def test_a_damaged_file_is_refused(tmp_path):
    pq.write_table(pa.table({"stamps": fixed_lists()}), tmp_path / "a.parquet", write_page_checksum=True)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-100])
    with pytest.raises(PartitionMalformed, match=r"cut\.parquet cannot be read as Parquet"):
        open_parquet(tmp_path / "cut.parquet")
    broken = bytearray(whole)
    broken[100:400] = bytes(300)
    (tmp_path / "broken.parquet").write_bytes(broken)
    with pytest.raises(PartitionMalformed, match=r"broken\.parquet"):
        open_file(tmp_path / "broken.parquet").arrays["stamps"].read(0, N)


def test_few_rows_are_decoded_at_a_time_however_small_the_file_is(tmp_path):
    """Images of one value take no space in a file, and as much memory as others."""
    rows, sides = 1000, (32, 32, 5)
    lists = pa.array(np.ones(rows * 5 * 32 * 32, np.float32))
    for size in sides:
        lists = pa.ListArray.from_arrays(pa.array(np.arange(0, len(lists) + 1, size), pa.int32()), lists)
    pq.write_table(pa.table({"stamps": lists}), tmp_path / "a.parquet")
    del lists
    column, pool = open_parquet(tmp_path / "a.parquet").arrays["stamps"], pa.default_memory_pool()
    before, most = pool.bytes_allocated(), 0
    for start in range(0, rows, 100):
        assert column.read(start, start + 100).shape == (100, 5, 32, 32)
        most = max(most, pool.bytes_allocated() - before)
    assert most < 14 << 20  # of 20 MB


@pytest.mark.parametrize("first", [None, []])
def test_the_first_galaxy_may_have_no_images(tmp_path, first):
    rows = [first if first is None else [], [[1.0, 2.0], [3.0, 4.0]], None]
    pq.write_table(
        pa.table({"image": pa.array(rows), "tags": pa.array([[], [], None], pa.list_(pa.int32()))}),
        tmp_path / "a.parquet",
    )
    arrays = open_parquet(tmp_path / "a.parquet").arrays
    assert arrays["image"].shape == (3, 2, 2)
    assert arrays["tags"].dtype == "lists of several lengths"
    read = arrays["image"].read(0, 3)
    assert np.ma.getmaskarray(read).all(axis=(1, 2)).tolist() == [True, False, True]
    assert read[1].tolist() == rows[1]
