from scripts.bench.inference.contenders import EAGER, FAST, ONNX_RUNTIME, OPENVINO, STREAMS
from scripts.bench.inference.measure import IMPORT_TORCH, InferenceResults
from scripts.series import Series


def series(name: str, batch_size: int, *rates: float) -> Series:
    rounds = [{"samples_per_s": rate, "peak_mb": 100.0} for rate in rates]
    return Series({"contender": name, "batch_size": batch_size}, rounds)


def results() -> InferenceResults:
    found = InferenceResults(flops_per_sample=1_000_000_000)
    found.gemm.rounds.append({"gflops": 2000.0})
    for name, batch_size, *rates in (
        (FAST, 64, 900.0, 1000.0, 1600.0),
        (FAST, 128, 1500.0, 1500.0, 1500.0),
        (ONNX_RUNTIME, 64, 400.0),
        (OPENVINO + STREAMS, 64, 500.0),
        (EAGER, 64, 250.0),
    ):
        found.rates[name, batch_size] = series(name, batch_size, *rates)
    found.cold = {name: Series({}, [{"cold_start_s": s}]) for name, s in ((FAST, 0.2), (IMPORT_TORCH, 2.0))}
    return found


def test_each_contender_is_given_its_best_batch_size_by_the_median():
    best = results().best(FAST)
    assert best is not None
    assert best.labels["batch_size"] == 128


def test_the_engine_is_compared_to_the_better_of_its_peers():
    assert results().ratios() == {
        "fast to the better of ONNX Runtime and OpenVINO": 3.0,
        "fast to eager": 6.0,
        "fast to the GEMM limit": 0.75,
        "cold start of fast to import torch": 0.1,
    }
