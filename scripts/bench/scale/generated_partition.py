"""Partitions that nobody has stored. Their images are made as they are read, and all else comes from a seed."""

import json
import zlib
from typing import Any

import numpy as np

from lambda_image.data.byte_source import SeekableReader
from lambda_image.data.safetensors_format import SAFETENSORS_NAMES
from lambda_image.data.sizes import PUBLISHED
from lambda_image.storage import ObjectStore, Requests

FLUX = 0.02  # nanomaggies of each pixel, which make an image of magnitude 19.2
PIXELS = np.full(1 << 18, FLUX, "<f4").tobytes()  # 1 MiB of images


class GeneratedPartition(SeekableReader):
    """A file in the project's own format, whose bytes are made when they are read."""

    def __init__(self, name: str, galaxies: int) -> None:
        self.name = name
        random = np.random.default_rng(zlib.crc32(name.encode()))
        arrays = {
            "magnitudes": random.uniform(18.7, 19.7, (galaxies, PUBLISHED.magnitudes)).astype("<f4"),
            "redshifts": random.gamma(2.0, 0.1, galaxies).astype("<f4"),
            "objid": random.integers(1 << 60, 1 << 62, galaxies),
        }
        header, end = {}, 0
        shapes = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
        shapes["images"] = ("float32", (galaxies, *PUBLISHED.image))
        for label, (dtype, shape) in shapes.items():
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            offsets = [end, end + size]
            header[label] = {"dtype": SAFETENSORS_NAMES[dtype], "shape": shape, "data_offsets": offsets}
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        content = b"".join(array.tobytes() for array in arrays.values())
        self._stored = len(text).to_bytes(8, "little") + text + content
        self.size = 8 + len(text) + end

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        done = 0
        while done < len(view):
            at = self._position + done
            stored = at < len(self._stored)
            source, start = (self._stored, at) if stored else (PIXELS, (at - len(self._stored)) % len(PIXELS))
            count = min(len(view) - done, len(source) - start)
            view[done : done + count] = source[start : start + count]
            done += count
        self._position += done
        return done


class GeneratedStore(ObjectStore):
    """A bucket that has every partition that it is asked for."""

    def __init__(self, bucket: str, galaxies: int, requests: Requests) -> None:
        super().__init__(bucket, requests=requests)
        self._galaxies = galaxies

    def open(self, key: str, etag: str | None = None) -> GeneratedPartition:  # type: ignore[override]
        """Open a partition of so many galaxies."""
        return GeneratedPartition(self.url(key), self._galaxies)
