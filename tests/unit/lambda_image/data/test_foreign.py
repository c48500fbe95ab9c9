"""Every refusal of another format names the command that imports the file, and that command works as it stands."""

import gzip
import io
import pickle
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from astropy.io import fits
from astropy.table import Table
from pyarrow import csv
from torch.utils.data import ConcatDataset, StackDataset, Subset, TensorDataset

from lambda_image.data.dataset import read_dataset
from lambda_image.data.file_content import BEGINNING
from lambda_image.data.foreign import MAGIC, SUFFIXES, foreign_format, import_of_files
from lambda_image.data.partition import read_partition
from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import PartitionMalformed, PartitionMissing
from scripts.cli import main
from scripts.galaxies import Mixture, render
from tests.unit.lambda_image.data.test_torch_archive import saved

N = 6
RNG = np.random.default_rng(2)
MAGNITUDES = np.ascontiguousarray(Mixture.shipped().draw(N, RNG)[0])
IMAGES = render(MAGNITUDES, RNG)
WIDE = np.pad(IMAGES, ((0, 0), (0, 0), (4, 4), (4, 4)))
IDS = 10**17 + np.arange(N)
COLUMNS = {"objid": IDS, **{f"mag_{band}": MAGNITUDES[:, place] for place, band in enumerate("ugriz")}}


def as_fits() -> bytes:
    image, buffer = fits.PrimaryHDU(IMAGES), io.BytesIO()
    image.header["BANDS"] = "ugriz"
    fits.HDUList([image, fits.BinTableHDU(Table(COLUMNS))]).writeto(buffer)
    return buffer.getvalue()


def as_hdf5(**options: int) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        for name, values in {**COLUMNS, "images": IMAGES, "bands": list("ugriz")}.items():
            file[name] = values
    return buffer.getvalue()


def as_parquet() -> bytes:
    buffer = io.BytesIO()
    rows = [{"band": list("ugriz"), "flux": image.tolist()} for image in IMAGES]
    pq.write_table(pa.table({**COLUMNS, "image": pa.array(rows)}), buffer)
    return buffer.getvalue()


def as_csv() -> bytes:
    buffer = io.BytesIO()
    csv.write_csv(pa.table(COLUMNS), buffer)
    return buffer.getvalue()


def by_numpy(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def structured() -> np.ndarray:
    table = np.zeros(N, [(name, values.dtype) for name, values in COLUMNS.items()])
    for name, values in COLUMNS.items():
        table[name] = values
    return table


TENSORS = torch.from_numpy(IMAGES), torch.from_numpy(MAGNITUDES)
ALL = TensorDataset(*TENSORS)
FILES: dict[str, bytes] = {
    "a.fits": as_fits(),
    "a.fits.gz": gzip.compress(as_fits()),
    "a.h5": as_hdf5(),
    "user_block.h5": as_hdf5(userblock_size=512),
    "a.parquet": as_parquet(),
    "a.csv": as_csv(),
    "a.csv.gz": gzip.compress(as_csv()),
    "a.npz": by_numpy(np.savez, images=IMAGES, mags=MAGNITUDES, objid=IDS),
    "packed.npz": by_numpy(np.savez_compressed, images=IMAGES, mags=MAGNITUDES, objid=IDS),
    "a.npy": by_numpy(np.save, IMAGES),
    "table.npy": by_numpy(np.save, structured()),
    "dict.pt": saved({"images": TENSORS[0], "mags": TENSORS[1]}),
    "tuple.pt": saved(TENSORS),
    "list.pt": saved(list(TENSORS)),
    "subset.pt": saved(Subset(ALL, range(N))),
    "concat.pt": saved(ConcatDataset([Subset(ALL, [0, 1]), Subset(ALL, list(range(2, N)))])),
    "stack.pt": saved(StackDataset(images=TENSORS[0], mags=TENSORS[1])),
    "old.pt": saved(TENSORS, _use_new_zipfile_serialization=False),
    "names.safetensors": safetensors.numpy.save({"x": IMAGES, "y": MAGNITUDES}),
    "wide.safetensors": safetensors.numpy.save({"images": WIDE, "magnitudes": MAGNITUDES}),
}
# What a user puts in the place of a word in capitals.
MEANT = {"CATALOGUE": "cat.csv", "FILE": "cube.npz", "BANDS": "u,g,r,i,z"}
MEANT |= {"--images NAME": "--images x", "--magnitudes NAME": "--magnitudes y"}


@pytest.mark.parametrize("name", FILES)
def test_the_command_that_a_refusal_names_imports_the_file(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(FILES[name])
    Path("cat.csv").write_bytes(as_csv())
    np.savez("cube.npz", stamps=IMAGES, bands=list("ugriz"))
    with pytest.raises(PartitionMalformed) as refused:
        read_partition(name, sizes=PUBLISHED)
    told = str(refused.value)
    assert told.startswith(f"{name}: ")
    command = re.search(r"`(cosmicai import [^`]+)`", told)
    assert command, told
    line = command[1]
    for word, meant in MEANT.items():
        line = line.replace(word, meant)
    assert main(shlex.split(line)[1:]) == 0, (line, capsys.readouterr().err)
    np.testing.assert_array_equal(read_dataset("partitions").images, IMAGES)
    np.testing.assert_allclose(read_dataset("partitions").magnitudes, MAGNITUDES, rtol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_a_name_says_the_same_of_a_file_whatever_it_is(name):
    """The name by which S3 is searched does not decide: each of these is refused under a name of ours, too."""
    with pytest.raises(PartitionMalformed, match="cosmicai import"):
        read_partition(io.BytesIO(FILES[name]), "s3://bucket/galaxies/7.safetensors", sizes=PUBLISHED)


def test_objects_on_s3_are_named_without_their_folder():
    with pytest.raises(
        PartitionMalformed, match=r"^s3://b/x/7\.pt: it is a FITS file and no partition: `cosmicai import 7\.pt"
    ):
        read_partition(io.BytesIO(FILES["a.fits"]), "s3://b/x/7.pt")


APOSTROPHE = "last night's.fits"


def test_a_name_with_blanks_is_quoted():
    with pytest.raises(PartitionMalformed, match=re.escape("`cosmicai import 'my file.fits' --out")):
        read_partition(io.BytesIO(FILES["a.fits"]), "my file.fits")
    with pytest.raises(PartitionMalformed, match=re.escape(f"`cosmicai import {shlex.quote(APOSTROPHE)} --out")):
        read_partition(io.BytesIO(FILES["a.fits"]), APOSTROPHE)


@pytest.mark.parametrize("magic", MAGIC.keys() - {b"\x80"})
def test_every_kind_of_file_is_told_and_something_is_advised(magic):
    with pytest.raises(PartitionMalformed) as refused:
        read_partition(io.BytesIO(magic + bytes(100)), "x")
    found = foreign_format((magic + bytes(100))[:BEGINNING])
    assert found is MAGIC[magic]
    assert f"it is {found.kind} and no partition: " in str(refused.value)
    assert "cosmicai import" in str(refused.value) or found.advice


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), gzip.compress(b"\0\1\2"), b"\x1f\x8bdamaged"])
def test_what_cannot_be_imported_has_another_advice(content):
    with pytest.raises(PartitionMalformed, match=r"unpack it with gunzip|save it again with torch\.save"):
        read_partition(io.BytesIO(content), "x")


@pytest.mark.parametrize("content", [b"<html><body>\n404", b"\n<!doctype HTML>\n<html>\n", b"<HTML lang='en'>\n"])
def test_a_page_that_a_server_gave_instead_of_a_file_is_told(content):
    with pytest.raises(
        PartitionMalformed, match=r"it is a page of a web site \(HTML\) and no partition: fetch the file"
    ):
        read_partition(io.BytesIO(content), "x")


@pytest.mark.parametrize("content", [b"\0" * 50, b"hello", b"one line, with a comma", b"\xff\xfe\n\0", b"{}"])
def test_what_is_nothing_is_told_so(content):
    with pytest.raises(PartitionMalformed, match=r"neither a PyTorch archive \(\.pt\) nor safetensors"):
        read_partition(io.BytesIO(content), "x")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_of_such_files_is_refused_with_the_command(tmp_path, suffix):
    (tmp_path / f"galaxies{suffix}").touch()
    with pytest.raises(PartitionMissing) as refused:
        read_dataset(tmp_path)
    assert f"`cosmicai import {tmp_path} " in str(refused.value)
    assert f"makes partitions of files in {suffix}" in str(refused.value)


def test_a_folder_of_other_files_names_no_command():
    assert import_of_files("x", ["a.txt", "b.jpg", "README"]) == ""
    command = "cosmicai import x --images FILE --out partitions/"
    assert import_of_files("x", ["a.csv", "b.txt"]) == f"; `{command}` makes partitions of files in .csv"


@pytest.mark.parametrize(
    "text",
    [
        "Dear all,\nthis is a text, indeed\nwith lines, and so on\n",
        "Hello world this is text\nthe second line has five\n",
        "# A heading\n\nA sentence goes on, as this does,\nand ends, as that does, too.\n",
        '{"bucket": "b",\n "data_prefix": "x",\n',
        "one line\n",
    ],
)
def test_sentences_are_no_table(text: str):
    found = foreign_format(text.encode())
    assert found is not None
    assert (found.kind, found.holds) == ("text", "nothing")


@pytest.mark.parametrize(
    "text",
    [
        "objid,name,mag_u\n1,M 31,\n",
        "name,survey\nM 31,\n",
        "# a comment, of two\nobjid;mag_u\n12;17.5\n",
        "\ufeffobjid,mag_u\r\n12,17.5\r\n",
        "objid mag_u mag_g\n12 17.5 nan\n",
        '"objid"\t"mag_u"\n"12"\t"17.5"\n',
    ],
)
def test_tables_are_told_by_their_numbers(text: str):
    assert foreign_format(text.encode()) == SUFFIXES[".csv"]


def test_bytes_that_are_no_text_begin_nothing_that_is_known():
    assert foreign_format(b"") is None
    assert foreign_format(b"a,b\n1,2\n\0\n") is None
    assert foreign_format(b"\xff\xfe\n") is None
