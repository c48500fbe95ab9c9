import json

import numpy as np
import pytest

from lambda_image.metrics import accuracy
from lambda_image.results import Work
from scripts.local_results import results_json

PUBLISHED = {  # in the order in which the published code writes them
    "total cpu time (second)",
    "total gpu time (second)",
    "execution time per batch (second)",
    "cpu memory (MB)",
    "gpu memory (MB)",
    "throughput(bps)",
    "batch size",
    "number of batches",
    "device",
    "MAE",
    "MSE",
    "Bias",
    "Precision",
    "R2",
}
WORK = Work(samples=1253, batches=3, bits=1253 * 8 * 20_500, inference_s=37.5)


def test_the_published_keys_mean_what_they_meant():
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 0.3, 1253)
    predicted = true + rng.normal(0.001, 0.02, 1253)
    found = results_json(WORK, accuracy(predicted, true), batch_size=512, device="cpu", peak_rss_mb=150.0)
    assert found.keys() == PUBLISHED
    assert found["execution time per batch (second)"] == 37.5 / 3
    assert found["throughput(bps)"] * found["total cpu time (second)"] == pytest.approx(WORK.bits)
    delta = (predicted - true) / (1 + true)
    assert found["Bias"] == pytest.approx(delta.mean())
    assert found["Precision"] == pytest.approx(1.48 * np.median(abs(delta - np.median(delta))))
    assert found["R2"] == pytest.approx(1 - ((predicted - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def test_seconds_on_a_gpu_are_no_seconds_of_a_processor():
    found = results_json(WORK, accuracy([0.1], None), batch_size=512, device="cuda", peak_rss_mb=150.0)
    assert (found["total cpu time (second)"], found["total gpu time (second)"]) == (0.0, 37.5)


def test_what_is_unknown_is_null_and_nothing_is_divided_by_zero():
    found = results_json(Work(), accuracy([], None), batch_size=512, device="cpu", peak_rss_mb=150.0)
    assert json.loads(json.dumps(found, allow_nan=False))["R2"] is None
    assert found["throughput(bps)"] == found["execution time per batch (second)"] == 0
