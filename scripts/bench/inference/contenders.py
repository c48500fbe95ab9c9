"""What is measured. Each makes its engine the way its users would. Imports are late, as a start is measured, too."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.model.engine_files import Device, EngineName

Predict = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]

PUBLISHED, EAGER, FAST, INT8, BF16, GEMM = "published loop", "eager", "fast", "int8", "bf16", "GEMM"
ONNX_RUNTIME, OPENVINO = "ONNX Runtime", "OpenVINO"
STREAMS = " (streams)"  # the batch is split among the threads, which then work on their own: what is best varies
PEERS = (ONNX_RUNTIME, ONNX_RUNTIME + STREAMS, OPENVINO, OPENVINO + STREAMS)
ENGINES: dict[str, EngineName] = {FAST: "fast", INT8: "int8", EAGER: "eager", BF16: "bf16"}
NAMES: Mapping[Device, Sequence[str]] = {
    "cpu": (FAST, INT8, EAGER, BF16, PUBLISHED, *PEERS),
    "cuda": (EAGER, BF16),
}

# Square: where the libraries come nearest to what the processor, or the GPU, can.
GEMM_SIZES: Mapping[Device, Sequence[int]] = {"cpu": (1024, 2048), "cuda": (4096, 8192)}


@dataclass(frozen=True)
class Spec:
    """What a contender is made from."""

    name: str
    model: str
    onnx: str
    partition: str
    threads: int
    device: Device = "cpu"


def make(spec: Spec) -> Predict:
    """Return a function that predicts the redshifts of images [N, 5, 32, 32] and magnitudes [N, 5].

    It returns them in whatever type is the contender's own.
    """
    if spec.name in ENGINES:
        from lambda_image.model import engine

        return engine.load(Path(spec.model), spec.threads, ENGINES[spec.name], device=spec.device).predict
    if spec.name.startswith(ONNX_RUNTIME):
        return _onnx_runtime(spec)
    if spec.name.startswith(OPENVINO):
        return _openvino(spec)
    return _published(spec)


def _onnx_runtime(spec: Spec) -> Predict:
    from lambda_image.model.onnx import onnx_runtime

    onnxruntime = onnx_runtime()
    streams = spec.threads if spec.name.endswith(STREAMS) else 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads // streams
    session = onnxruntime.InferenceSession(spec.onnx, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(streams)

    def predict(images: NDArray[np.float32], magnitudes: NDArray[np.float32]) -> Any:
        parts = zip(np.array_split(images, streams), np.array_split(magnitudes, streams), strict=True)
        feeds = [{"images": part, "magnitudes": of_part} for part, of_part in parts if len(part)]
        return np.concatenate([answer[0] for answer in pool.map(lambda feed: session.run(None, feed), feeds)])

    return predict


def _openvino(spec: Spec) -> Predict:
    import openvino

    streams = spec.threads if spec.name.endswith(STREAMS) else 1
    settings = {
        "INFERENCE_NUM_THREADS": spec.threads,
        "NUM_STREAMS": streams,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f32",  # it would take bf16 where the processor has it
    }
    compiled = openvino.Core().compile_model(spec.onnx, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(streams)]

    def predict(images: NDArray[np.float32], magnitudes: NDArray[np.float32]) -> Any:
        parts = zip(requests, np.array_split(images, streams), np.array_split(magnitudes, streams), strict=True)
        started = []
        for request, part, of_part in parts:
            if len(part):
                request.start_async({0: part, 1: of_part})
                started.append(request)
        for request in started:
            request.wait()
        return np.concatenate([request.get_output_tensor().data for request in started])

    return predict


def _published(spec: Spec) -> Predict:
    """As the published handlers infer: a DataLoader over tensors, and the profiler around the loop."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.data import DataLoader, TensorDataset

    from lambda_image.model import checkpoint

    torch.set_num_threads(spec.threads)
    model = checkpoint.load(spec.model)

    def predict(images: NDArray[np.float32], magnitudes: NDArray[np.float32]) -> Any:
        dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(magnitudes))
        answers = []
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True):
            for batch, of_batch in DataLoader(dataset, batch_size=len(images)):
                answers.append(model(batch, of_batch))
        return torch.cat(answers)

    return predict


def gemm_gflops(threads: int, seconds: float, device: Device = "cpu") -> float:
    """Return the most GFLOP/s that a float32 product of square matrices reaches.

    The products are MKL's and oneDNN's, which packs one of the matrices. On a GPU it is cuBLAS's without TF32, which
    is PyTorch's default.
    """
    import torch

    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available  # which has no types of its own
    torch.set_num_threads(threads)
    best = 0.0
    for size in GEMM_SIZES[device]:
        a, b = (torch.rand(size, size, device=device) for _ in "ab")
        products = [partial(torch.mm if device == "cpu" else _awaited_product, a, b)]
        if device == "cpu" and has_onednn():
            packed = torch.ops.mkldnn._reorder_linear_weight(b, size)
            products.append(partial(torch.ops.mkldnn._linear_pointwise, a, packed, torch.zeros(size), "none", [], ""))
        for product in products:
            product()
            times = _times(product, seconds / len(GEMM_SIZES[device]) / len(products))
            best = max(best, 2 * size**3 / float(np.median(times)) / 1e9)
    return best


def _awaited_product(a: Any, b: Any) -> None:
    import torch

    torch.mm(a, b)
    torch.cuda.synchronize()


def samples_per_s(
    predict: Predict, images: NDArray[np.float32], magnitudes: NDArray[np.float32], batch_size: int, seconds: float
) -> float:
    """Return galaxies per second in batches of one size, after one batch that is not timed.

    The partition is passed through until at least `seconds` are over.
    """
    starts = range(0, len(images) - batch_size + 1, batch_size)
    predict(images[:batch_size], magnitudes[:batch_size])
    done, began = 0, time.perf_counter()
    while True:
        for start in starts:
            predict(images[start : start + batch_size], magnitudes[start : start + batch_size])
            done += batch_size
            if (elapsed := time.perf_counter() - began) >= seconds:
                return done / elapsed


def _times(work: Callable[[], Any], seconds: float) -> Sequence[float]:
    times: list[float] = []
    while sum(times) < seconds:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def quiet_environ(threads: int) -> dict[str, str]:
    """Return this process's environment with so many threads for whoever asks it. Nobody phones home."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "ORT_DISABLE_TELEMETRY": "1", "OPENVINO_TELEMETRY": "0"}
