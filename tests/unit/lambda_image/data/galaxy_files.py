"""Galaxies, and files of them in both formats."""

import io
import json

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from torch.utils.data import TensorDataset

from lambda_image.data.sizes import Sizes

FORMATS = ["safetensors", "pt"]


def galaxies(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.gamma(1.5, 0.6, (rows, 5, 32, 32)).astype(np.float32)
    return images, rng.normal(17, 1, (rows, 5)).astype(np.float32), rng.uniform(0, 0.4, rows).astype(np.float32)


GALAXIES = galaxies(12)


def published(*arrays: np.ndarray | torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(TensorDataset(*(torch.as_tensor(array) for array in arrays)), buffer)
    return buffer.getvalue()


def ours(**arrays: np.ndarray) -> bytes:
    """By the safetensors library, whose order is not the one that we write."""
    return safetensors.numpy.save(arrays)


def header_only(**entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def of_sizes(sizes: Sizes, rows: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    images, magnitudes = rng.random((rows, *sizes.image), np.float32), rng.random((rows, sizes.magnitudes), np.float32)
    return images, magnitudes, rng.random(rows, np.float32)
