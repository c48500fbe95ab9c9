"""HDF5 files by h5py. Datasets of any group are arrays, named by their path, and fields of compound ones are, too."""

from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import TEXT, Array, Contents, as_texts, dtype_name, fields_of, first_line, unit_of

SCALES = ("pixel_scale", "pixscale", "PIXSCALE", "pixel_scale_arcsec")  # attributes, in arcsec per pixel


def open_hdf5(path: Path) -> Contents:
    """Opens an HDF5 file. Links that lead out of it are not followed.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
        found = Contents(str(path), "HDF5", {})

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape:
                if item.external:
                    raise PartitionMalformed(f"{path}: {name} lies in another file, which isn't read", object=str(path))
                _add(found, name, item, h5py)

        file.visititems(visit)
        _describe_all(found, file.attrs)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise PartitionMalformed(f"{path} cannot be read as HDF5: {first_line(error)}", object=str(path)) from error
    return found


def _add(found: Contents, name: str, dataset: Any, h5py: Any) -> None:
    dtype = dataset.dtype
    if dtype.names:
        found.arrays.update(fields_of(name, dtype, len(dataset), lambda start, stop: dataset[start:stop]))
        return
    text = h5py.check_string_dtype(dtype) is not None

    def read(start: int, stop: int) -> Array:
        values = np.asarray(dataset[start:stop])
        if text:
            return _texts(values)
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    kind = TEXT if text else "objects" if dtype.kind == "O" else dtype_name(dtype)
    found.arrays[name] = Column(kind, tuple(dataset.shape), read)
    if unit := unit_of(dataset.attrs):
        found.units[name] = unit
    _describe(found, name, dataset.attrs)


def _describe(found: Contents, name: str, attributes: Any) -> None:
    """What attributes say of the bands and the pixels of an array."""
    for key in ("bands", "band", "BANDS"):
        if key in attributes and name not in found.bands:
            words = as_texts(np.asarray(attributes[key]))
            if len(words) == 1:
                words = words[0].replace(",", " ").split()
            bands = tuple(words) if len(words) > 1 else tuple(words[0])
            if len(bands) in found.arrays[name].shape[1:]:
                found.bands[name] = bands
    for key in SCALES:
        if key in attributes and len(found.arrays[name].shape) > 2:
            found.pixel_scales.setdefault(name, float(np.ravel(attributes[key])[0]))


def _describe_all(found: Contents, attributes: Any) -> None:
    for name in found.arrays:
        _describe(found, name, attributes)


def _texts(values: Array) -> Array:
    """Numpy's type S, as short as the longest, of texts of fixed or variable length."""
    if values.dtype.kind == "S":
        return values
    texts = [value if isinstance(value, bytes) else str(value).encode() for value in values.ravel().tolist()]
    return np.array(texts or [b""], np.bytes_)[: len(texts)].reshape(values.shape)
