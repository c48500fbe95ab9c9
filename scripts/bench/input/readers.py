"""What is in a file by other readers than this project's: the safetensors library, and PyTorch."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

Array = NDArray[Any]

NAMES = ("images", "magnitudes", "redshifts")


@dataclass(frozen=True)
class Content:
    """The galaxies of a file, as a run takes them.

    Attributes:
        images: float32 [N, 5, 32, 32].
        magnitudes: float32 [N, 5].
        redshifts: float32 [N], NaN where the file has none.
        rows: int64 [N].
        columns: The user's columns by name.
    """

    images: Array
    magnitudes: Array
    redshifts: Array
    rows: Array
    columns: dict[str, Array] = field(default_factory=dict)

    def part(self, rows: tuple[int, int] | None) -> "Content":
        """Return the rows [start, stop)."""
        return self.chosen(slice(*rows) if rows is not None else slice(None))

    def chosen(self, which: slice | Array) -> "Content":
        """Return some of the rows."""
        columns = {name: values[which] for name, values in self.columns.items()}
        return Content(self.images[which], self.magnitudes[which], self.redshifts[which], self.rows[which], columns)


def read_independently(data: bytes, *, is_safetensors: bool) -> Content | None:
    """Return what is in a file, or None where the other readers refuse it or find no galaxies."""
    try:
        return content_of(safetensors.torch.load(data) if is_safetensors else _dataset(data))
    except Exception:  # whatever it is: what the file does to other readers is not judged here
        return None


def _dataset(data: bytes) -> dict[str, torch.Tensor]:
    with torch.serialization.safe_globals([TensorDataset]):
        dataset = torch.load(io.BytesIO(data), weights_only=True)
    only = [tensor.dtype for tensor in dataset.tensors[3:]].count(torch.int64) == 1
    further = {
        "object_id" if only and tensor.dtype == torch.int64 else f"column_{place}": tensor
        for place, tensor in enumerate(dataset.tensors[3:], start=4)
    }
    columns = getattr(dataset, "columns", {})
    return {**dict(zip(NAMES, dataset.tensors, strict=False)), **further, **columns}


def content_of(tensors: Mapping[str, torch.Tensor]) -> Content:
    """Return tensors as the galaxies that they are."""
    arrays = {name: _plain(tensor) for name, tensor in tensors.items()}
    images, magnitudes = arrays.pop("images"), arrays.pop("magnitudes")
    count = len(images)
    redshifts = arrays.pop("redshifts", np.full(count, np.nan)).reshape(count)
    rows = arrays.pop("row", np.arange(count)).astype(np.int64)
    if images.shape[1:] == (64, 64, 5):
        images = images[:, 16:48, 16:48].transpose(0, 3, 1, 2)
    if images.shape[1:] != (5, 32, 32) or magnitudes.shape != (count, 5):
        raise ValueError("no galaxies")
    columns = {
        name: np.ascontiguousarray(values).view(f"S{values.shape[1]}")[:, 0] if values.ndim == 2 else values
        for name, values in arrays.items()
    }
    with np.errstate(over="ignore"):
        images, magnitudes, redshifts = (a.astype(np.float32) for a in (images, magnitudes, redshifts))
    return Content(images, magnitudes, redshifts, rows, columns)


def _plain(tensor: torch.Tensor) -> Array:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
