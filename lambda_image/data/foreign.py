"""Formats that a run doesn't read, told by their first bytes, with the command that makes partitions of such a file.

Nothing here reads more than the beginning of a file. It is imported where a file has been refused already.
"""

import re
import shlex
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from lambda_image.data.file_content import BANDS_FLAG, BEGINNING
from lambda_image.data.formats import ZIP_MAGIC

OUT = "--out partitions/"
IMAGES = "--images FILE"  # a cube, or a pattern such as 'cutouts/{id}.fits'


class Foreign(NamedTuple):
    """A format that `cosmicai import` reads, or one that a user must convert first.

    Attributes:
        kind: What the file is, in words that follow "it is".
        holds: What is in it: "both" images and catalogue, the "images" alone, the "catalogue" alone, "either" where
            the beginning doesn't say, or "nothing" that can be imported.
        flags: What the command must be told, since such a file does not say it.
        advice: What to do about a file that cannot be imported.
    """

    kind: str
    holds: str = "either"
    flags: str = ""
    advice: str = ""


def _unread(kind: str, advice: str) -> Foreign:
    return Foreign(kind, "nothing", advice=advice)


MAGIC: dict[bytes, Foreign] = {
    b"SIMPLE  =": Foreign("a FITS file"),
    b"\x89HDF\r\n\x1a\n": Foreign("an HDF5 file"),
    b"PAR1": Foreign("a Parquet file"),
    b"ARROW1": _unread("an Arrow file", "save it as Parquet"),
    b"BZh": _unread("compressed by bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ\x00": _unread("compressed by xz", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": _unread("compressed by zstd", "unpack it with unzstd"),
    b"\x89PNG": _unread("a picture (PNG)", "use the FITS images behind it, as pictures hold no fluxes"),
    b"\xff\xd8\xff": _unread("a picture (JPEG)", "use the FITS images behind it, as pictures hold no fluxes"),
    b"II*\x00": _unread("a TIFF file", "save its pixels with numpy.save"),
    b"MM\x00*": _unread("a TIFF file", "save its pixels with numpy.save"),
    b"<?xml": _unread("an XML file", "save a VOTable as FITS or Parquet"),
    b"\x80": _unread("a pickle", "save its arrays with numpy.savez, as pickles can execute anything and are not read"),
}
HTML = _unread("a page of a web site (HTML)", "fetch the file again, as a server gave this page instead of it")
TEXT = _unread("text", "name a dataset (a table needs as many fields in each row as in its header, and numbers)")
NPY_MAGIC = b"\x93NUMPY"
GZIP_MAGIC = b"\x1f\x8b"
# By what the names of files end in, where only names are known. The first letters of a compressed one come before.
SUFFIXES: dict[str, Foreign] = {
    **dict.fromkeys((".fits", ".fit", ".fts", ".fits.gz", ".fits.fz", ".fit.gz"), MAGIC[b"SIMPLE  ="]),
    **dict.fromkeys((".hdf5", ".h5", ".hdf"), MAGIC[b"\x89HDF\r\n\x1a\n"]),
    **dict.fromkeys((".parquet", ".pq"), MAGIC[b"PAR1"]),
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".ecsv"), Foreign("a CSV file", "catalogue")),
    ".npz": Foreign("an archive of NumPy arrays", flags=BANDS_FLAG),
    ".npy": Foreign("an array of NumPy", "images", BANDS_FLAG),
}


def foreign_format(beginning: bytes) -> Foreign | None:
    """Tells a format by the first bytes of a file.

    Args:
        beginning: `BEGINNING` bytes, or all that there are.

    Returns:
        The format, or None if the bytes begin nothing that is known.
    """
    if beginning.startswith(GZIP_MAGIC):
        inner = foreign_format(_unpacked(beginning))
        if inner is None:
            return _unread("compressed by gzip", "unpack it with gunzip")
        return inner._replace(kind=f"{inner.kind} (gzip)")
    if beginning.startswith(NPY_MAGIC):
        return _array_of_numpy(beginning)
    if beginning.startswith(ZIP_MAGIC):
        name = beginning[30 : 30 + int.from_bytes(beginning[26:28], "little")]
        return SUFFIXES[".npz"] if name.endswith(b".npy") else None
    if beginning.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return HTML
    for magic, known in MAGIC.items():
        if beginning.startswith(magic):
            return known
    # The 512 bytes before an HDF5 file's own beginning may be a user's (a "user block", of a power of two).
    if any(beginning[place:].startswith(b"\x89HDF\r\n\x1a\n") for place in (512, 1024, 2048)):
        return MAGIC[b"\x89HDF\r\n\x1a\n"]
    lines = _lines_of_text(beginning)
    if lines is None:
        return None
    return SUFFIXES[".csv"] if _is_table(lines) else TEXT


def import_command(name: str, foreign: Foreign) -> str:
    """Says in one clause how a file becomes partitions.

    Args:
        name: The path of the file.
        foreign: Its format.

    Returns:
        The command with the flags that such a file needs, or what to do first.
    """
    if foreign.holds == "nothing":
        return foreign.advice
    quoted = shlex.quote(name)
    catalogue = {"images": f"CATALOGUE --images {quoted}", "catalogue": f"{quoted} {IMAGES}"}.get(foreign.holds, quoted)
    command = " ".join(filter(None, ("cosmicai import", catalogue, foreign.flags, OUT)))
    beside = f" (with {IMAGES} where the images lie in another file)" if foreign.holds == "either" else ""
    return f"`{command}` makes partitions of it{beside}"


def import_of_files(place: str, names: Iterable[str]) -> str:
    """Says how files beside which there are no partitions become some.

    Args:
        place: The folder, as a message names it.
        names: The names of what lies in it.

    Returns:
        A clause that begins with a semicolon, or nothing where no file can be imported.
    """
    endings = (re.search(r"(\.fits?)?(\.csv)?\.\w+$", name.lower()) for name in names)
    known = {ending[0] for ending in endings if ending and ending[0] in SUFFIXES}
    if not known:
        return ""
    flags = "" if any(SUFFIXES[ending].holds == "either" for ending in known) else f" {IMAGES}"
    return (
        f"; `cosmicai import {shlex.quote(place)}{flags} {OUT}` makes partitions of files in {', '.join(sorted(known))}"
    )


def _unpacked(beginning: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(beginning, BEGINNING)
    except zlib.error:
        return b""


def _array_of_numpy(beginning: bytes) -> Foreign:
    """A table where its type has fields, and images otherwise."""
    if re.search(rb"'descr': *\[", beginning[:BEGINNING]):
        return Foreign("a structured array of NumPy", "catalogue")
    return SUFFIXES[".npy"]


def _lines_of_text(beginning: bytes) -> list[str] | None:
    """The whole lines but comments, or None if it is no text."""
    try:
        text = beginning[: beginning.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not text or not all(character.isprintable() or character in "\r\n\t\ufeff" for character in text):
        return None
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _is_table(lines: list[str]) -> bool:
    """Whether two lines have as many fields, among which is a number or an empty one. Sentences have neither."""
    if len(lines) < 2 or lines[0].lstrip().startswith(("{", "[")):  # as JSON begins
        return False
    first, second = lines[:2]
    marks = [mark for mark in ",\t;|" if first.count(mark) == second.count(mark) > 0]
    if not marks and len(first.split()) == len(second.split()) > 2:
        marks = [""]
    return any(_is_value(field) for mark in marks for field in (second.split(mark) if mark else second.split()))


def _is_value(field: str) -> bool:
    """Whether it is a number, or nothing."""
    field = field.strip().strip('"')
    if not field:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return True
