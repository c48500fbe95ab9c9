"""Opens whatever a user names: a file of any format, several alike, or a folder of them, as HATS catalogues are."""

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from lambda_image.data.byte_source import TruncatedError
from lambda_image.data.file_content import BEGINNING, Column, FormatError
from lambda_image.data.foreign import Foreign, foreign_format
from lambda_image.data.formats import ZIP_MAGIC
from lambda_image.data.inert_pickle import ArchiveError
from lambda_image.errors import PartitionMalformed, PartitionMissing, UsageError
from lambda_image.partition_names import natural_order, printable
from scripts.extras import require
from scripts.importing.contents import TEXT, Array, Contents, first_line, in_utf8
from scripts.importing.file_series import FileSeries

SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".gz", ".hdf5", ".h5", ".hdf", ".npz", ".npy", ".parquet", ".pq")
TABLE_SUFFIXES = (".csv", ".tsv", ".ecsv", ".pt", ".pth", ".safetensors")
# What the libraries raise over bytes that are damaged or missing, beside errors of their own that derive from these.
DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RuntimeError, zlib.error, zipfile.BadZipFile),
    *(SyntaxError, RecursionError, tokenize.TokenError),  # of headers that NumPy reads as Python does
    *(ArchiveError, FormatError, TruncatedError),
)
FORMATS = "FITS, HDF5, Parquet, CSV, NumPy, PyTorch and safetensors"
_LETTERS = b"\t\r\n" + bytes(range(0x20, 0x7F)) + bytes(range(0xA0, 0x100))  # of Latin-1
HATS_PROPERTIES = ("hats.properties", "properties")  # the second is its name in the first versions
COLLECTION = "collection.properties"


def open_sources(sources: Sequence[Path]) -> tuple[Contents, list[str]]:
    """Opens files that follow one another, and folders of such files.

    Args:
        sources: Files and folders.

    Returns:
        What they hold together, and sentences about what was left out.

    Raises:
        PartitionMissing: there is nothing at a path, or nothing in a folder that can be read.
        PartitionMalformed: a file cannot be read. The message names it.
    """
    files, told = list[Path](), list[str]()
    for source in sources:
        if source.is_dir():
            found, left_out = _files_of(source)
            files += found
            told += left_out
        elif source.exists():
            files.append(source)
        else:
            raise PartitionMissing(f"{printable(source)}: there is no such file", object=str(source))
    if len(files) == 1:
        return open_file(files[0]), told
    name = printable(sources[0]) if len(sources) == 1 else f"{printable(sources[0])} and {len(sources) - 1:,} more"
    return FileSeries(files, open_file).contents(name), told


def open_file(path: Path) -> Contents:
    """Opens one file, whose format is told by its content. What goes wrong later, too, is told with the file's name.

    Raises:
        PartitionMissing: there is no file.
        PartitionMalformed: it cannot be read. The message names it.
        ModuleNotFoundError: the package that reads this format is not installed.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise PartitionMissing(f"{printable(path)}: there is no such file", object=str(path)) from error
    except OSError as error:
        told = f"{printable(path)} cannot be read: {error.strerror or error}"
        raise PartitionMalformed(told, object=str(path)) from error
    if not beginning:
        raise PartitionMalformed(f"{printable(path)}: it is empty", object=str(path))
    try:
        contents = _open(path, beginning)
    except DAMAGE as error:
        raise PartitionMalformed(f"{printable(path)} cannot be read: {first_line(error)}", object=str(path)) from error
    contents.arrays.update({name: _guarded(column, path, name) for name, column in contents.arrays.items()})
    return contents


def _guarded(column: Column, path: Path, name: str) -> Column:
    """The column, whose faults name the file and the rows, and whose text is UTF-8."""

    def read(start: int, stop: int) -> Array:
        try:
            values = column.read(start, stop)
            return in_utf8(values) if column.dtype == TEXT else values
        except DAMAGE as error:
            told = f"{printable(path)}: rows {start:,} to {stop:,} of {name} cannot be read: {first_line(error)}"
            raise PartitionMalformed(told, object=str(path)) from error

    return Column(column.dtype, column.shape, read)


def _open(path: Path, beginning: bytes) -> Contents:
    foreign = foreign_format(beginning)
    if foreign is not None:
        return _open_foreign(path, foreign)
    from scripts.importing.torch_files import open_safetensors, open_torch

    if beginning.startswith(ZIP_MAGIC):
        return open_torch(path)
    if not beginning[8:].startswith(b"{"):  # as safetensors begins
        raise FormatError(_unknown(beginning))
    return open_safetensors(path)


def _unknown(beginning: bytes) -> str:
    """What is wrong with a file of no known format. Text is told by its letters, or by the mark of UTF-16."""
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or not beginning.translate(None, _LETTERS):
        return "it is text in another encoding than UTF-8, or no table: save a table as CSV in UTF-8"
    return f"it is none of the formats that are read, which are {FORMATS}"


def _open_foreign(path: Path, foreign: Foreign) -> Contents:
    kind = foreign.kind
    if kind.startswith("a FITS file"):
        require("astropy")
        from scripts.importing.fits_files import open_fits

        return open_fits(path)
    if kind == "an HDF5 file":
        require("h5py")
        from scripts.importing.hdf5_files import open_hdf5

        return open_hdf5(path)
    if kind == "a Parquet file":
        require("pyarrow")
        from scripts.importing.parquet_files import open_parquet

        return open_parquet(path)
    if kind.startswith("a CSV file"):
        require("pyarrow")
        from scripts.importing.csv_files import open_csv

        return open_csv(path)
    if "NumPy" in kind and "gzip" not in kind:
        from scripts.importing.numpy_files import open_npy, open_npz

        return open_npz(path) if foreign.kind == "an archive of NumPy arrays" else open_npy(path)
    if kind == "a pickle":  # torch.save wrote pickles before 1.6, too, which are told by their first bytes
        from scripts.importing.torch_files import open_torch

        return open_torch(path)
    advice = foreign.advice or "unpack it with gunzip"
    raise PartitionMalformed(f"{printable(path)}: it is {kind}: {advice}", object=str(path))


def _files_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder, and what was left out. A HATS catalogue has its own rule."""
    if (folder / COLLECTION).exists():
        return _files_of(_primary(folder))
    if any((folder / name).exists() for name in HATS_PROPERTIES) or (folder / "dataset").is_dir():
        return _hats(folder)
    found = [path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder)]
    usable = [path for path in found if path.name.lower().endswith((*SUFFIXES, *TABLE_SUFFIXES))]
    kinds = {path.suffix.lower() for path in usable}
    if not usable:
        raise PartitionMissing(f"{printable(folder)} holds no file that can be imported", object=str(folder))
    if len(kinds) > 1:
        endings = ", ".join(sorted(kinds))
        raise UsageError(f"{printable(folder)} holds files of several kinds ({endings}): name those of one kind")
    left = len(found) - len(usable)
    return _ordered(usable, folder), [f"{left:,} other files in {printable(folder)} are not read"] if left else []


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _ordered(paths: Sequence[Path], folder: Path) -> list[Path]:
    return sorted(paths, key=lambda path: natural_order(path.relative_to(folder).as_posix()))


def _properties(file: Path) -> dict[str, str]:
    """key=value, one on a line (IVOA Note HATS 1.0)."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _primary(collection: Path) -> Path:
    """The catalogue of a HATS collection whose other members are margins and indexes of it."""
    named = _properties(collection / COLLECTION).get("hats_primary_table_url")
    if named and (collection / named).is_dir():
        return collection / named
    members = [path.parent for name in HATS_PROPERTIES for path in sorted(collection.glob(f"*/{name}"))]
    primary = [member for member in members if _kind_of(member) in ("", "object", "source")]
    if len(primary) == 1:
        return primary[0]
    names = ", ".join(member.name for member in primary) or "none"
    raise UsageError(f"{printable(collection)} is a HATS collection: name its catalogue (found: {names})")


def _kind_of(catalogue: Path) -> str:
    properties: dict[str, str] = {}
    for name in HATS_PROPERTIES:
        properties.update(_properties(catalogue / name))
    return properties.get("dataproduct_type", "").lower()


def _hats(folder: Path) -> tuple[list[Path], list[str]]:
    """The partitions of a HATS catalogue, `dataset/Norder=K/Dir=M/Npix=N.parquet` or folders of that name.

    A margin repeats the galaxies around each partition and is never read beside a catalogue.
    """
    if (kind := _kind_of(folder)) in ("margin", "index", "association"):
        raise UsageError(f"{printable(folder)} is the {kind} of a HATS catalogue and no catalogue: name that")
    base = folder / "dataset" if (folder / "dataset").is_dir() else folder
    found = [path for path in base.rglob("*") if path.suffix in (".parquet", ".pq") and path.is_file()]
    usable = [
        path
        for path in found
        if not _hidden(path, base) and any(part.startswith("Npix=") for part in path.relative_to(base).parts)
    ]
    margins = [path for path in folder.iterdir() if path.is_dir() and _kind_of(path) == "margin"]
    if not usable:
        raise PartitionMissing(f"{printable(folder)} is a HATS catalogue without partitions", object=str(folder))
    told = [f"the margin {path.name} is not read, since its galaxies are in the catalogue" for path in margins]
    return _ordered(usable, base), told
