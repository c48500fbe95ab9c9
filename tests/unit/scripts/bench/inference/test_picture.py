from pathlib import Path
from typing import Any

import pytest

from scripts.bench.inference.picture import best_of, draw


def entry(name: str, batch_size: int, rate: float, **others: float) -> dict[str, Any]:
    figures = {"samples_per_s": rate, **others}
    spreads = {key: {"median": value, "low": value, "high": value} for key, value in figures.items()}
    return {"contender": name, "batch_size": batch_size, "figures": spreads}


def test_each_contender_is_drawn_at_its_best():
    best = best_of([entry("a", 1, 5), entry("b", 1, 9), entry("a", 2, 7), entry("b", 2, 8)])
    assert [(one["contender"], one["batch_size"]) for one in best] == [("a", 2), ("b", 1)]


def test_rates_and_cold_starts_are_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")
    one = entry("fast", 4, 500.0, cold_start_s=0.2)
    gemm = {"figures": {"gflops": {"median": 100.0}}}
    report = {"machine": {"cpu": "a processor", "cores": 2}, "gemm": gemm, "flops_per_sample": 2e8}
    assert draw({**report, "inference": [one], "cold_start": [one]}, tmp_path / "bench.svg")
    drawn = (tmp_path / "bench.svg").read_text()
    for words in ("a processor", "fast", "cold start"):
        assert words in drawn  # as a comment beside its glyphs
