import pickle

import numpy as np
import pytest

from lambda_image.errors import PartitionMalformed
from scripts.importing.numpy_files import open_npy, open_npz
from scripts.importing.opening import open_file

N = 12
ROWS = [(0, N), (3, 7), (7, 9), (1, 2), (N - 1, N)]  # also back
CUBE = np.random.default_rng(0).random((N, 5, 9, 8), np.float32)
ARRAYS = {
    "images": CUBE,
    "big": CUBE.astype(">f8"),
    "fortran": np.asfortranarray(CUBE),
    "objid": 10**17 + np.arange(N),
    "word": np.array([f"gälaxy {row}" for row in range(N)]),
    "flag": np.arange(N) % 3 == 0,
}


def encoded(values: np.ndarray) -> np.ndarray:
    return np.char.encode(values, "utf-8") if values.dtype.kind == "U" else values


@pytest.mark.parametrize("name", ARRAYS)
def test_rows_of_one_array_are_what_numpy_reads(tmp_path, name):
    np.save(tmp_path / "a.npy", ARRAYS[name])
    column = open_npy(tmp_path / "a.npy").arrays["a"]
    for start, stop in ROWS:
        rows = column.read(start, stop)
        assert rows.dtype.isnative or rows.dtype.kind == "S"
        np.testing.assert_array_equal(rows, encoded(ARRAYS[name][start:stop]))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_of_several_arrays_are_what_numpy_reads(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    contents = open_npz(tmp_path / "a.npz")
    assert list(contents.arrays) == list(ARRAYS)
    for start, stop in ROWS:
        for name, column in contents.arrays.items():
            np.testing.assert_array_equal(column.read(start, stop), encoded(ARRAYS[name][start:stop]))


def test_a_structured_array_is_a_table(tmp_path):
    table = np.zeros(N, [("objid", ">i8"), ("mags", "<f4", (5,))])
    table["objid"] = np.arange(N)
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "b.npz", catalog=table)
    assert list(open_npy(tmp_path / "a.npy").arrays) == ["objid", "mags"]
    arrays = open_npz(tmp_path / "b.npz").arrays
    assert list(arrays) == ["catalog.objid", "catalog.mags"]
    assert arrays["catalog.objid"].read(2, 4).tolist() == [2, 3]


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")


def test_objects_are_listed_and_never_unpickled(tmp_path):
    trap = np.array([Trap(str(tmp_path / "executed"))] * N, dtype=object)
    np.savez(tmp_path / "a.npz", trap=trap, objid=np.arange(N))
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    assert pickle.HIGHEST_PROTOCOL  # it was written as one
    for contents in (open_npz(tmp_path / "a.npz"), open_npy(tmp_path / "a.npy")):
        name = next(iter(contents.arrays))
        assert contents.arrays[name].dtype == "objects, which only pickle could read"
        with pytest.raises(PartitionMalformed, match="holds objects"):
            contents.arrays[name].read(0, N)
    assert not (tmp_path / "executed").exists()


def test_what_is_cut_off_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    np.savez_compressed(tmp_path / "b.npz", images=CUBE)
    for name in ("a.npy", "b.npz"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / f"cut{name}").write_bytes(whole[:-400])
    column = open_file(tmp_path / "cuta.npy").arrays["cuta"]
    with pytest.raises(PartitionMalformed, match=r"cuta\.npy: cuta is cut off"):
        column.read(0, N)
    with pytest.raises(PartitionMalformed, match=r"cutb\.npz cannot be read as \.npz"):
        open_npz(tmp_path / "cutb.npz")


def test_an_archive_with_a_wrong_checksum_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", images=CUBE)
    broken = bytearray((tmp_path / "a.npz").read_bytes())
    broken[3000:3100] = bytes(100)
    (tmp_path / "a.npz").write_bytes(broken)
    column = open_file(tmp_path / "a.npz").arrays["images"]
    with pytest.raises(PartitionMalformed, match=r"a\.npz"):
        column.read(0, N)


def test_a_header_that_is_damaged_is_told_in_one_line(tmp_path):
    path = tmp_path / "images.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00\x60\xea" + b" " * 60_000)
    with pytest.raises(PartitionMalformed, match=r"^.*images cannot be read: Header info length .*$"):
        open_file(path)
