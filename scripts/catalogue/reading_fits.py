"""Tables in FITS files."""

import warnings
from pathlib import Path
from typing import Any

from lambda_image.errors import InvalidEvent
from lambda_image.partition_names import printable
from scripts.catalogue.numpy_columns import from_astropy
from scripts.catalogue.table import Catalogue, Meaning, Notes


def read_fits(path: Path) -> tuple[Catalogue, Notes]:
    """Reads the longest table of a FITS file, with the UCDs (TUCDn) and descriptions (TCOMMn) of its columns.

    Raises:
        InvalidEvent: the file has no table.
    """
    from astropy.io import fits
    from astropy.table import Table

    with warnings.catch_warnings(), fits.open(path) as units:
        warnings.simplefilter("ignore")  # about units that FITS does not have
        warnings.filterwarnings("error", message="(?s).*(truncated|corrupt)")
        tables = [unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise InvalidEvent(f"--catalogue {printable(path)} has no table: it holds images alone, or is cut off")
        chosen = max(tables, key=lambda table: int(table.header["NAXIS2"]))  # before it may lie tables about the file
        catalogue, notes = from_astropy(Table.read(chosen, mask_invalid=False), padded=True)
        meanings = {
            name: _meaning(chosen.header, number)
            for number, name in enumerate(chosen.columns.names, start=1)
            if name in catalogue.meanings
        }
        if len(tables) > 1:
            name = chosen.name or "it has no name"
            notes.append(f"the longest of {len(tables)} tables of {printable(path.name)} is read ({printable(name)})")
    return Catalogue(catalogue.table, meanings), notes


def _meaning(header: Any, number: int) -> Meaning:
    return Meaning(*(str(header.get(f"{key}{number}") or "") for key in ("TUNIT", "TUCD", "TCOMM")))
