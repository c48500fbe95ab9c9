"""The compiled engine: a library of our own (native/) over folded weights mapped into memory. It needs no PyTorch."""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import CheckpointError
from lambda_image.model import engine_digests, engine_files
from lambda_image.model.engine_files import LIBRARY, Device, Precision
from lambda_image.model.inputs import as_inputs


class Fast:
    """Answers by the widest instruction set that the processor has, or by the given one (`avx2`, `avx512`, `neon`)."""

    device: Device = "cpu"
    sizes = PUBLISHED  # the only ones that are compiled

    def __init__(
        self,
        folder: Path,
        threads: int,
        parameters_mb: float = 0.0,
        precision: Precision = "float32",
        instruction_set: str | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        """Raises CheckpointError for a library or weights that cannot be used, or are not those of `digests`."""
        self.name = "int8" if precision == "int8" else "fast"
        self.parameters_mb, self._threads = parameters_mb, threads
        weights = engine_files.weights_of(folder, precision)
        try:
            if digests is not None:
                engine_digests.check(folder / LIBRARY, engine_digests.library_digest(folder / LIBRARY), digests)
            library = ctypes.CDLL(str(folder / LIBRARY))
            self._weights = np.memmap(weights, np.float32, mode="r")
            if digests is not None:
                engine_digests.check(weights, engine_digests.weights_digest(self._weights), digests)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the compiled engine in {folder} cannot be loaded: {error}; make it again"
            ) from error
        library.instruction_set.restype = ctypes.c_char_p
        self.instruction_set: str = instruction_set or library.instruction_set().decode()
        if not self.instruction_set:
            raise CheckpointError(f"the compiled engine in {folder} needs AVX2; use INFERENCE_ENGINE=eager")
        self._predict = library[f"predict_{precision}_{self.instruction_set}"]
        pointer = ctypes.c_void_p
        self._predict.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_int, ctypes.c_int]
        size = library[f"size_{precision}_{self.instruction_set}"]
        size.restype = ctypes.c_size_t
        if size() != self._weights.size:
            raise CheckpointError(f"{weights} holds {self._weights.size:,} floats instead of {size():,}; make it again")

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        images, magnitudes = as_inputs(images, magnitudes)
        count = len(images)
        redshifts = np.empty(count, np.float32)
        addresses = (array.ctypes.data for array in (self._weights, images, magnitudes, redshifts))
        if self._predict(*addresses, count, self._threads):
            raise MemoryError(f"no memory for {self._threads} threads to infer {count} images")
        return redshifts
