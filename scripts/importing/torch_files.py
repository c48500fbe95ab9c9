"""Tensors that `torch.save` or safetensors wrote, in any arrangement of dicts, lists, tuples and PyTorch's datasets.

A .pt file goes through the project's own reader of pickles, which executes nothing: what the file names stays a name,
and only what a dataset keeps as plain data is looked at.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.byte_source import TruncatedError, byte_source
from lambda_image.data.file_content import Column, FormatError
from lambda_image.data.inert_pickle import ArchiveError, Inert, not_allowed
from lambda_image.data.safetensors_format import safetensors_columns
from lambda_image.data.torch_archive import TENSOR_DATASET, StoredTensor, TorchArchive
from lambda_image.data.torch_format import DATASET_ORDER
from lambda_image.data.weights import WEIGHTS, are_weights, hold_weights
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import TEXT, Array, Contents, dtype_name, joined

DATASETS = "torch.utils.data.dataset."
SUBSET, CONCAT, STACK = f"{DATASETS}Subset", f"{DATASETS}ConcatDataset", f"{DATASETS}StackDataset"
MAX_DEPTH = 20  # of containers in one another
ALLOWED = "a dict, list or tuple of tensors, a TensorDataset, a Subset or a ConcatDataset is needed"


def open_safetensors(path: Path) -> Contents:
    """Opens a safetensors file, whatever its tensors are called.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    try:
        columns = safetensors_columns(byte_source(path.open("rb")))  # by ranges: a mapping would fill the memory
        if are_weights(columns):
            raise FormatError(WEIGHTS)
    except (FormatError, TruncatedError) as error:
        raise PartitionMalformed(f"{path}: {error}", object=str(path)) from error
    return Contents(str(path), "safetensors", columns)


def open_torch(path: Path) -> Contents:
    """Opens what `torch.save` wrote.

    Raises:
        PartitionMalformed: it cannot be read, or holds something else than tensors. The message names it.
    """
    try:
        archive = TorchArchive(byte_source(path.open("rb")))
        if hold_weights(archive.root):
            raise FormatError(WEIGHTS)
        arrays = _named(_Walk(archive).columns(archive.root, 0))
    except (ArchiveError, TruncatedError, FormatError) as error:
        raise PartitionMalformed(f"{path}: {error}", object=str(path)) from error
    return Contents(str(path), "PyTorch", arrays)


def _named(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Tensors without names are images, magnitudes and redshifts, if they look like these in this order."""
    by_place = list(columns) == [str(place) for place in range(len(columns))]
    dimensions = [len(column.shape) for column in columns.values()]
    if by_place and len(columns) >= 2 and dimensions[:2] == [4, 2] and all(size <= 2 for size in dimensions[2:]):
        names = [*DATASET_ORDER, *(f"column_{place}" for place in range(4, len(columns) + 1))]
        return dict(zip(names, columns.values(), strict=False))
    return dict(columns)


class _Walk:
    """Finds tensors in what a pickle describes."""

    def __init__(self, archive: TorchArchive) -> None:
        self._archive = archive

    def columns(self, value: object, depth: int) -> dict[str, Column]:
        if depth > MAX_DEPTH:
            raise FormatError("its containers lie in one another too deeply")
        match value:
            case StoredTensor():
                return {"": self._column(value)} if value.shape else {}
            case Inert(name=name) if name == SUBSET:
                return self._subset(value.state, depth)
            case Inert(name=name) if name == CONCAT:
                return self._concatenated(value.state, depth)
            case Inert(name=name) if name == TENSOR_DATASET:
                tensors = self.columns(value.state.get("tensors"), depth + 1)
                named = value.state.get("columns")
                return {**_named(tensors), **(self.columns(named, depth + 1) if isinstance(named, dict) else {})}
            case Inert(name=name) if name == STACK:
                return self.columns(value.state.get("datasets"), depth + 1)
            case Inert(name=name):
                if depth == 0:
                    raise not_allowed(name, ALLOWED)
                return {}  # something else beside the tensors
            case dict():
                return self._within({str(key): item for key, item in value.items()}, depth)
            case list() if (samples := self._samples(value, depth)) is not None:
                return samples
            case list() | tuple() if (plain := _plain(value)) is not None:
                return {"": plain}
            case list() | tuple():
                return self._within({str(place): item for place, item in enumerate(value)}, depth)
        return {}

    def _within(self, items: Mapping[str, object], depth: int) -> dict[str, Column]:
        found = {}
        for name, item in items.items():
            for inner, column in self.columns(item, depth + 1).items():
                found[f"{name}.{inner}" if inner else name] = column
        return found

    def _column(self, tensor: StoredTensor) -> Column:
        return Column(tensor.dtype, tensor.shape, lambda start, stop: self._archive.array(tensor, start, stop))

    def _subset(self, state: Mapping[Any, object], depth: int) -> dict[str, Column]:
        columns = _named(self.columns(state.get("dataset"), depth + 1))
        indices = self._indices(state.get("indices"))

        def chosen(column: Column) -> Column:
            if len(indices) and not (indices.min() >= 0 and indices.max() < column.shape[0]):
                raise FormatError(f"its Subset chooses rows up to {indices.max():,} of {column.shape[0]:,}")

            def read(start: int, stop: int) -> Array:
                return _gathered(column, indices[start:stop])

            return Column(column.dtype, (len(indices), *column.shape[1:]), read)

        return {name: chosen(column) for name, column in columns.items()}

    def _indices(self, given: object) -> Array:
        match given:
            case list() | tuple() if all(type(index) is int for index in given):
                return np.array(given, np.int64)
            case StoredTensor() if len(given.shape) == 1 and np.dtype(given.dtype).kind in "iu":
                return self._archive.array(given).astype(np.int64)
            case Inert(name="builtins.range" | "__builtin__.range" | "__builtin__.xrange", args=bounds) if all(
                type(bound) is int for bound in bounds
            ):
                return np.arange(*bounds, dtype=np.int64)
        raise FormatError("its Subset has indices that are no list, tensor or range: save it again with a list")

    def _concatenated(self, state: Mapping[Any, object], depth: int) -> dict[str, Column]:
        datasets = state.get("datasets")
        if not isinstance(datasets, (list, tuple)) or not datasets:
            raise FormatError("its ConcatDataset holds no datasets")
        parts = [_named(self.columns(dataset, depth + 1)) for dataset in datasets]
        common = [name for name in parts[0] if all(name in part for part in parts)]
        if any(len(part) != len(common) for part in parts):
            raise FormatError("the datasets of its ConcatDataset differ: " + "; ".join(", ".join(p) for p in parts))
        found = {}
        for name in common:
            columns = [part[name] for part in parts]
            if len({column.shape[1:] for column in columns}) > 1:
                shapes = ", ".join(str(list(column.shape)) for column in columns)
                raise FormatError(f"{name} in the datasets of its ConcatDataset has the shapes {shapes}")
            found[name] = joined(columns[0], [column.shape[0] for column in columns], columns.__getitem__)
        return found

    def _samples(self, items: Sequence[object], depth: int) -> dict[str, Column] | None:
        """Columns of a list that has an item for each galaxy, as `[dataset[i] for i in ...]` is; None for others."""
        if len(items) < 2 or not all(type(item) is type(items[0]) for item in items):
            return None
        if type(items[0]) not in (list, tuple, dict):
            return None
        rows = [item if isinstance(item, dict) else dict(enumerate(item)) for item in items]  # type: ignore[arg-type]
        if any(row.keys() != rows[0].keys() for row in rows):
            return None
        found = {}
        for key, first in rows[0].items():
            values = [row[key] for row in rows]
            if isinstance(first, StoredTensor):
                alike = (
                    tensor for tensor in values if isinstance(tensor, StoredTensor) and tensor.shape == first.shape
                )
                tensors = list(alike)
                if len(tensors) < len(values):
                    return None
                found[str(key)] = self._stacked(tensors)
            elif (plain := _plain(values)) is not None:
                found[str(key)] = plain
        return found or None

    def _stacked(self, tensors: list[StoredTensor]) -> Column:
        def read(start: int, stop: int) -> Array:
            return np.stack([self._archive.array(tensor) for tensor in tensors[start:stop]])

        return Column(tensors[0].dtype, (len(tensors), *tensors[0].shape), read)


def _plain(values: Sequence[object]) -> Column | None:
    """A column of numbers or texts that Python's own types hold, such as ids; None for other values."""
    kinds = {type(value) for value in values}
    if kinds == {str}:  # an array of all would have the longest one's place for each
        return Column(TEXT, (len(values),), lambda start, stop: _encoded(values[start:stop]))
    if kinds == {int}:
        array = _integers(values)
    elif kinds and kinds <= {int, float}:
        array = np.array(values, np.float64)
    else:
        return None
    return Column(dtype_name(array.dtype), array.shape, lambda start, stop: array[start:stop])


def _encoded(texts: Sequence[object]) -> Array:
    return np.array([str(text).encode() for text in texts], np.bytes_)


def _integers(values: Sequence[object]) -> Array:
    """In the first type that has room for all of them, and as text where none has."""
    for dtype in (np.int64, np.uint64):
        with suppress(OverflowError):
            return np.array(values, dtype)
    return np.array(values, np.bytes_)


def _gathered(column: Column, rows: Array) -> Array:
    """Rows in any order. Neighbours are read together."""
    if not len(rows):
        return column.read(0, 0)
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    ends = [*starts[1:], len(rows)]
    runs = [column.read(int(rows[start]), int(rows[end - 1]) + 1) for start, end in zip(starts, ends, strict=True)]
    return runs[0] if len(runs) == 1 else np.concatenate(runs)
