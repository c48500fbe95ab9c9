"""Any network as an ONNX file, run by ONNX Runtime on the processor. The library is imported where a file is loaded."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.sizes import Sizes
from lambda_image.errors import CheckpointError
from lambda_image.model.engine_files import Device
from lambda_image.model.inputs import as_inputs
from lambda_image.model.onnx_check import QUICK_BATCHES, batch_problem
from lambda_image.model.onnx_file import MAX_BYTES, OnnxFileError, read_contract

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WORDS = 300  # characters of what ONNX Runtime says
SILENT = 4  # it says nothing of its own on the standard error; what is wrong comes as an exception
REMEDY = "docs/models.md of this project shows how a network is exported"


class OnnxEngine:
    """Predicts by a network that came as an ONNX file; see onnx_file for what it may hold."""

    name = "onnx"
    outputs: tuple[str, ...] = ("redshift",)

    def __init__(self, path: Path, session: "InferenceSession", sizes: Sizes, parameters_mb: float) -> None:
        self.device: Device = "cpu"
        self.sizes, self.parameters_mb = sizes, parameters_mb
        self._path, self._session = path, session

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        return self.answers(images, magnitudes)[0]

    def answers(self, images: ArrayLike, magnitudes: ArrayLike) -> list[NDArray[np.float32]]:
        """All that the network says of N galaxies.

        Args:
            images: As `predict` takes them.
            magnitudes: As `predict` takes them.

        Returns:
            Float32 [N] for each of `outputs`.

        Raises:
            ValueError: As `Engine.predict` says.
            CheckpointError: The network fails, or answers in another shape or type.
        """
        images, magnitudes = as_inputs(images, magnitudes, self.sizes)
        count = len(images)
        if not count:  # some operators refuse a batch of none
            return [np.empty(0, np.float32) for _ in self.outputs]
        given = {"image": images, **({"magnitude": magnitudes} if self.sizes.magnitudes else {})}
        try:
            answers: list[Any] = self._session.run(list(self.outputs), given)
        except Exception as error:  # the library has a class of its own for each of its codes
            raise _unfit(self._path, f"it fails on a batch of {count}: {_words(error)}") from error
        for name, answer in zip(self.outputs, answers, strict=True):
            if answer.shape not in ((count,), (count, 1)) or answer.dtype != np.float32:
                found = f"{answer.dtype} {list(answer.shape)}"
                raise _unfit(self._path, f"its {name} of a batch of {count} is {found}; float32 [{count}] is needed")
        return [np.ascontiguousarray(answer).reshape(count) for answer in answers]


class UncertainOnnxEngine(OnnxEngine):
    """Predicts, and says how uncertain each redshift is."""

    outputs = ("redshift", "redshift_err")

    def predict_with_errors(
        self, images: ArrayLike, magnitudes: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicts redshifts and their uncertainties, as `UncertainEngine` says."""
        redshifts, errors = self.answers(images, magnitudes)
        return redshifts, errors


def load_onnx(path: Path, threads: int, batches: Sequence[int] = QUICK_BATCHES) -> OnnxEngine:
    """Loads a file.

    Args:
        path: An ONNX file.
        threads: How many threads compute.
        batches: Sizes of the batches in which the network must answer alike (see onnx_check).

    Returns:
        The engine.

    Raises:
        CheckpointError: The file cannot be used, or ONNX Runtime is missing.
    """
    data = _read(path)
    try:
        contract = read_contract(data)
    except OnnxFileError as error:
        raise _unfit(path, str(error)) from error
    kind = UncertainOnnxEngine if contract.gives_errors else OnnxEngine
    engine = kind(path, _session(path, data, threads), contract.sizes, len(data) / 2**20)
    if (problem := batch_problem(engine.answers, engine.sizes, batches)) is not None:
        raise _unfit(path, problem)
    return engine


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _unfit(path, f"it has more than {MAX_BYTES:,} bytes, which no ONNX file has")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no model {path}: correct the path (MODEL_PATH or --model)", path=str(path)
        ) from error
    except OSError as error:
        raise CheckpointError(f"model {path} cannot be read: {error.strerror}", path=str(path)) from error


def onnx_runtime() -> ModuleType:
    """Imports ONNX Runtime, and keeps it from reporting on its use.

    Since its version 1.29 the library tells its maker of every model that it loads, with the graph's name and hashes of
    the weights, and writes an identifier of the machine to the user's cache.

    Returns:
        The library.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # is read when the library is first imported
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # where a program had imported it before
    module: ModuleType = onnxruntime
    return module


def _session(path: Path, data: bytes, threads: int) -> "InferenceSession":
    try:
        onnxruntime = onnx_runtime()
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"model {path} is an ONNX file, and ONNX Runtime, which runs it, is not installed here: pip install "
            "-e '.[onnx]', or take the image target onnx (LAMBDA_TARGET=onnx)",
            path=str(path),
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never .ort, whatever the bytes say
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # ranks share the processors
    try:  # of the bytes that were judged, and not of a file that may be another one by now
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _unfit(path, f"ONNX Runtime {onnxruntime.__version__} refuses it: {_words(error)}") from error


def _unfit(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"model {path}: {problem}; {REMEDY}", path=str(path))


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:WORDS]
