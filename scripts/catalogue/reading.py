"""A user's catalogue, from the format that its name says."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts.catalogue import votable
from scripts.catalogue.reading_csv import read_csv
from scripts.catalogue.reading_fits import read_fits
from scripts.catalogue.table import Catalogue, Meaning, Notes, distinct_names
from scripts.user_files import check_there

REASON_LENGTH = 200  # of what a library says, which may hold a whole line of a file
READABLE = ".csv, .tsv, .ecsv, .fits, .fit, .vot, .xml or .parquet, all but the last also with .gz behind"


def format_of(path: Path) -> str:
    """Tells the format of a file by the end of its name: `.csv` of both a.csv and a.csv.gz, in lower case."""
    path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return path.suffix.lower()


def read_catalogue(path: Path) -> tuple[Catalogue, Notes]:
    """Reads a catalogue.

    Args:
        path: a file whose name says its format.

    Returns:
        The catalogue, with the units, UCDs and descriptions that the file gives, and what was changed or left out.

    Raises:
        UsageError: there is no such file, or its name says no format that is read.
        InvalidEvent: it cannot be read as that format.
    """
    shown = printable(path)
    readers: dict[str, Callable[[Path], tuple[Catalogue, Notes]]] = {
        **dict.fromkeys((".csv", ".tsv"), read_csv),
        **dict.fromkeys((".fits", ".fit", ".fz"), read_fits),
        **dict.fromkeys((".vot", ".votable", ".xml"), votable.read_votable),
        ".ecsv": read_ecsv,
        **dict.fromkeys((".parquet", ".parq"), read_parquet),
    }
    reader = readers.get(format_of(path))
    if reader is None:
        raise UsageError(f"--catalogue {shown} must end in {READABLE}")
    check_there("--catalogue", path, "a catalogue")
    try:
        catalogue, notes = reader(path)
    except InvalidEvent:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, UserWarning, pa.ArrowException) as error:
        first = printable(" ".join(str(error).split("\n")[0].split())[:REASON_LENGTH]) or type(error).__name__
        raise InvalidEvent(f"--catalogue {shown} cannot be read: {first}") from error
    if not catalogue.table.num_columns:
        raise InvalidEvent(f"--catalogue {shown} has no columns")
    given = catalogue.table.column_names
    named = [name if name.strip() else "index" for name in given]  # pandas gives its index no name
    if (names := distinct_names(named)) != given:
        notes = notes + [
            f"a {f'further column {old}' if old.strip() else 'column without a name'} of the catalogue is called {new}"
            for old, new in zip(given, names, strict=True)
            if old != new
        ]
        catalogue = Catalogue(catalogue.table.rename_columns(names), catalogue.meanings, catalogue.text)
    return catalogue, notes


def read_parquet(path: Path) -> tuple[Catalogue, Notes]:
    """Reads a Parquet file, and the VOTable in its metadata that says what its columns mean, if there is one."""
    table = parquet.read_table(path)
    meanings: dict[str, Meaning] = {}
    header = (table.schema.metadata or {}).get(votable.PARQUET_CONTENT)
    if header is not None:
        meanings = votable.meanings_in(io.BytesIO(header))
    return Catalogue(table.replace_schema_metadata(None), meanings), []


def read_ecsv(path: Path) -> tuple[Catalogue, Notes]:
    """Reads an ECSV file by astropy, row by row."""
    from astropy.table import Table

    from scripts.catalogue.numpy_columns import from_astropy

    return from_astropy(Table.read(path, format="ascii.ecsv"))
