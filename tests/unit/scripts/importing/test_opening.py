from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lambda_image.errors import PartitionMalformed, PartitionMissing, UsageError
from scripts.importing.contents import TEXT
from scripts.importing.opening import open_file, open_sources


def parquet(path: Path, ids: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "ra": [float(value) for value in ids]}), path)
    return path


def ids_of(*sources: Path) -> list[int]:
    contents, _ = open_sources(sources)
    column = contents.arrays["id"]
    return column.read(0, column.shape[0]).tolist()


def hats(folder: Path, kind: str = "object", first: int = 0) -> Path:
    """A catalogue in the layout of HATS (https://www.ivoa.net/documents/Notes/HATS/)."""
    parquet(folder / "dataset/Norder=0/Dir=0/Npix=10.parquet", [first + 2])
    parquet(folder / "dataset/Norder=0/Dir=0/Npix=4.parquet", [first, first + 1])
    parquet(folder / "dataset/Norder=1/Dir=0/Npix=44/part-0.parquet", [first + 3])
    pq.write_metadata(pa.schema([("id", pa.int64())]), folder / "dataset/_common_metadata")
    pq.write_metadata(pa.schema([("id", pa.int64())]), folder / "dataset/_metadata")
    (folder / "hats.properties").write_text(f"#HATS catalog\nobs_collection=x\ndataproduct_type={kind}\nhats_nrows=4\n")
    (folder / "partition_info.csv").write_text("Norder,Npix\n0,4\n0,10\n1,44\n")
    (folder / "skymap.fits").write_bytes(b"SIMPLE  = ")
    return folder


def test_a_hats_catalogue(tmp_path):
    assert ids_of(hats(tmp_path / "catalogue")) == [0, 1, 2, 3]


def test_margins_and_indexes_of_a_hats_collection_are_not_read(tmp_path):
    hats(tmp_path / "primary")
    hats(tmp_path / "margin_10arcs", "margin", first=100)
    hats(tmp_path / "id_index", "index", first=200)
    (tmp_path / "collection.properties").write_text("obs_collection=x\n")
    assert ids_of(tmp_path) == [0, 1, 2, 3]
    hats(tmp_path / "second", first=300)
    with pytest.raises(UsageError, match=r"is a HATS collection: name its catalogue \(found: primary, second\)"):
        open_sources([tmp_path])
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=second\nall_margins=margin_10arcs\n")
    assert ids_of(tmp_path) == [300, 301, 302, 303]


@pytest.mark.parametrize("kind", ["margin", "index"])
def test_a_margin_is_no_catalogue(tmp_path, kind):
    with pytest.raises(UsageError, match=f"is the {kind} of a HATS catalogue and no catalogue"):
        open_sources([hats(tmp_path / "x", kind)])


def test_files_and_folders_follow_one_another_in_natural_order(tmp_path):
    for number in (1, 2, 10):
        parquet(tmp_path / f"many/{number}.parquet", [number])
    (tmp_path / "many/readme.txt").write_text("about")
    one = parquet(tmp_path / "one.parquet", [100, 101])
    assert ids_of(one, tmp_path / "many") == [100, 101, 1, 2, 10]
    contents, told = open_sources([tmp_path / "many"])
    assert contents.kind == "3 files of Parquet"
    assert told == [f"1 other files in {tmp_path}/many are not read"]
    assert contents.arrays["ra"].read(1, 3).tolist() == [2, 10]


def test_few_files_are_open_at_a_time(tmp_path):
    paths = []
    for number in range(300):
        paths.append(tmp_path / f"{number}.npz")
        np.savez(paths[-1], id=np.array([number]))
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert ids_of(*paths) == list(range(300))
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 10


def test_files_that_differ_are_refused(tmp_path):
    np.savez(tmp_path / "1.npz", images=np.zeros((2, 5, 8, 8)), z=np.zeros(2))
    np.savez(tmp_path / "2.npz", images=np.zeros((2, 3, 8, 8)), z=np.zeros(2))
    with pytest.raises(PartitionMalformed, match=r"2\.npz has images float64 \[2, 3, 8, 8\], and .*1\.npz has images"):
        open_sources([tmp_path])
    np.savez(tmp_path / "2.npz", images=np.zeros((2, 5, 8, 8)))
    with pytest.raises(PartitionMalformed, match=r"2\.npz has no z, and .*1\.npz has z float64 \[2\]"):
        open_sources([tmp_path])


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(PartitionMissing, match=r"nowhere\.fits: there is no such file"):
        open_sources([tmp_path / "nowhere.fits"])
    with pytest.raises(PartitionMissing, match="holds no file that can be imported"):
        open_sources([tmp_path])
    parquet(tmp_path / "a.parquet", [1])
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(UsageError, match=r"holds files of several kinds \(\.npy, \.parquet\): name those of one kind"):
        open_sources([tmp_path])
    for name, content, words in (
        ("empty.fits", b"", "it is empty"),
        ("a.jpg", b"\xff\xd8\xff\xe0", r"it is a picture \(JPEG\): use the FITS images"),
        ("a.bz2", b"BZh91AY", "it is compressed by bzip2: unpack it with bunzip2"),
        ("a.bin", bytes(range(1, 100)), "it is none of the formats that are read, which are FITS"),
        ("a.csv", "name,u\nÅngström,1\n".encode("latin-1"), "it is text in another encoding than UTF-8"),
        ("b.csv", "name,u\nÅngström,1\n".encode("utf-16"), "it is text in another encoding than UTF-8"),
        ("a.html", b"<html>404</html>", r"it is a page of a web site \(HTML\): fetch the file again"),
        ("a.txt", b"not found", "or no table: save a table as CSV"),
        ("a.pkl", b"\x80\x04\x95", "a.pkl"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PartitionMalformed, match=words):
            open_file(tmp_path / name)


@pytest.mark.parametrize(
    "header",
    [b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", b"(" * 200, b"[" * 9_000, b"'''", b"\x00", b"1_"],
    ids=["cut", "parentheses", "brackets", "string", "zero", "number"],
)
def test_a_header_that_python_cannot_read_is_a_damaged_file(header: bytes, tmp_path: Path):
    """NumPy reads it by Python's own tokenizer and parser, which have errors of their own."""
    for major, width in ((1, 2), (2, 4)):
        file = tmp_path / f"{major}.npy"
        file.write_bytes(b"\x93NUMPY" + bytes((major, 0)) + len(header).to_bytes(width, "little") + header)
        with pytest.raises(PartitionMalformed, match=rf"{major}\.npy.* cannot be read: ") as refused:
            open_file(file)
        assert "\n" not in str(refused.value)


def test_text_is_utf8_whatever_the_file_holds(tmp_path):
    words = ["J1", "Çelebi", "Öpik"]
    np.save(tmp_path / "wide.npy", np.array([(word,) for word in words], [("name", "U8")]))
    np.save(tmp_path / "mixed.npy", np.array([b"J1", "Çelebi".encode(), "Öpik".encode("latin-1")]))
    with h5py.File(tmp_path / "mixed.h5", "w") as file:
        file["name"] = np.load(tmp_path / "mixed.npy")
    for file, name in (("wide.npy", "name"), ("mixed.npy", "mixed"), ("mixed.h5", "name")):
        column = open_file(tmp_path / file).arrays[name]
        assert column.dtype == TEXT
        assert column.read(0, 3).tolist() == [word.encode() for word in words]
        assert column.read(0, 1).tolist() == [b"J1"]
        assert column.read(0, 0).shape == (0,)


def test_a_file_that_the_system_does_not_let_be_read_is_told(tmp_path):
    with pytest.raises(PartitionMalformed, match=r"/x+ cannot be read: File name too long$"):
        open_file(tmp_path / ("x" * 300))
