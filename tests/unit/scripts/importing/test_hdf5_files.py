import h5py
import numpy as np
import pytest

from lambda_image.errors import PartitionMalformed
from scripts.importing.hdf5_files import open_hdf5
from scripts.importing.opening import open_file

N = 12
ROWS = [(0, N), (3, 7), (N - 1, N)]
CUBE = np.random.default_rng(0).random((N, 5, 9, 8), np.float32)


@pytest.mark.parametrize("options", [{}, {"chunks": (5, 1, 9, 8), "compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">i2", "<f8"])
def test_rows_are_what_h5py_reads(tmp_path, dtype, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("group/images", data=(CUBE * 100).astype(dtype), **options)
    column = open_hdf5(tmp_path / "a.h5").arrays["group/images"]
    for start, stop in ROWS:
        rows = column.read(start, stop)
        assert rows.dtype.isnative
        np.testing.assert_array_equal(rows, (CUBE * 100).astype(dtype)[start:stop])


def test_texts_of_fixed_and_of_variable_length(tmp_path):
    words = [f"gälaxy {row}" for row in range(N)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["variable"] = words
        file["fixed"] = np.array([word.encode() for word in words])
        file["bands"] = np.array([["g", "r"]] * N, dtype=h5py.string_dtype("utf-8", 5))
    arrays = open_hdf5(tmp_path / "a.h5").arrays
    for name in ("variable", "fixed"):
        assert arrays[name].dtype == "text"
        assert [word.decode() for word in arrays[name].read(2, 5).tolist()] == words[2:5]
    assert arrays["bands"].read(0, 1).tolist() == [[b"g", b"r"]]


def test_fields_of_a_compound_dataset_are_columns(tmp_path):
    table = np.zeros(N, [("objid", ">i8"), ("mags", "<f4", (5,))])
    table["objid"], table["mags"] = 10**17 + np.arange(N), CUBE[:, :, 0, 0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["catalog"] = table
    arrays = open_hdf5(tmp_path / "a.h5").arrays
    assert list(arrays) == ["catalog.objid", "catalog.mags"]
    assert arrays["catalog.mags"].shape == (N, 5)
    assert arrays["catalog.objid"].read(3, 5).tolist() == [10**17 + 3, 10**17 + 4]


@pytest.mark.parametrize("bands", [list("ugriz"), "ugriz", "u,g,r,i,z", np.array(list("ugriz"), "S1")])
@pytest.mark.parametrize("place", ["dataset", "file"])
def test_attributes_name_bands_units_and_pixels(tmp_path, bands, place):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["ids"] = CUBE, np.arange(N)
        described = file["images"] if place == "dataset" else file
        described.attrs["bands"], described.attrs["pixel_scale"] = bands, 0.396
        file["images"].attrs["units"] = "nJy"
    contents = open_hdf5(tmp_path / "a.h5")
    assert contents.bands == {"images": tuple("ugriz")}
    assert contents.pixel_scales == {"images": pytest.approx(0.396)}
    assert contents.units == {"images": "nJy"}


def test_scalars_and_links_out_of_the_file_are_left_out(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(N)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ids"], file["version"] = np.arange(N), 3
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
    assert list(open_hdf5(tmp_path / "a.h5").arrays) == ["ids"]


def test_bytes_of_other_files_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8 * N))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("ids", (N,), "i8", external=[(str(tmp_path / "secret"), 0, 8 * N)])
    with pytest.raises(PartitionMalformed, match="ids lies in another file"):
        open_hdf5(tmp_path / "a.h5")


def test_a_damaged_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=CUBE, compression="gzip")
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PartitionMalformed, match=r"cut\.h5 cannot be read as HDF5"):
        open_hdf5(tmp_path / "cut.h5")
    broken = bytearray(whole)
    broken[-4000:-3000] = bytes(1000)
    (tmp_path / "broken.h5").write_bytes(broken)
    column = open_file(tmp_path / "broken.h5").arrays["images"]
    with pytest.raises(PartitionMalformed, match=r"broken\.h5: rows 0 to 12 of images cannot be read"):
        column.read(0, N)
