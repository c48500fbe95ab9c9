"""Runs the contenders in turn, so that whatever else the machine does hits them alike, and judges what came of it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scripts.bench.inference.contenders import BF16, EAGER, FAST, GEMM, INT8, PEERS, PUBLISHED, Spec
from scripts.bench.inference.plan import InferencePlan
from scripts.bench.inference.processes import Worker, duration_s, running
from scripts.series import Series
from scripts.step_progress import StepProgress

IMPORT_TORCH = "import torch"
RATE, COLD, PEAK, SHARE = "samples_per_s", "cold_start_s", "peak_mb", "share_of_gemm"


@dataclass
class InferenceResults:
    """What was measured of every contender."""

    flops_per_sample: int = 0
    gemm: Series = field(default_factory=lambda: Series({"contender": GEMM}))
    rates: dict[tuple[str, int], Series] = field(default_factory=dict)  # by contender and batch size
    cold: dict[str, Series] = field(default_factory=dict)  # by contender
    failures: ClassVar[Sequence[str]] = ()  # a contender that fails ends the benchmark

    def best(self, name: str) -> Series | None:
        """Return a contender's series at its best batch size, if it was measured."""
        own = [series for (contender, _), series in self.rates.items() if contender == name]
        return max(own, key=lambda series: series.figures()[RATE].median, default=None)

    def rate(self, name: str) -> float:
        """Return a contender's samples/s at its best batch size, or 0 if it was not measured."""
        series = self.best(name)
        return series.figures()[RATE].median if series is not None else 0.0

    def ratios(self) -> dict[str, float]:
        """Return what the engines are judged by, of what was measured."""
        limit = self.gemm.figures()["gflops"].median * 1e9 / self.flops_per_sample
        peer = max(self.rate(name) for name in PEERS)
        fast, cold = self.rate(FAST), {name: series.figures()[COLD].median for name, series in self.cold.items()}
        found = {
            "fast to the better of ONNX Runtime and OpenVINO": (fast, peer),
            "fast to the published loop": (fast, self.rate(PUBLISHED)),
            "fast to eager": (fast, self.rate(EAGER)),
            "fast to the GEMM limit": (fast, limit),
            "int8 to the GEMM limit": (self.rate(INT8), limit),
            "bf16 to the GEMM limit": (self.rate(BF16), limit),
            "cold start of fast to import torch": (cold.get(FAST, 0.0), cold.get(IMPORT_TORCH, 0.0)),
        }
        return {name: ours / theirs for name, (ours, theirs) in found.items() if ours and theirs}

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        return {
            "flops_per_sample": self.flops_per_sample,
            "gemm": self.gemm.to_json(),
            "inference": [series.to_json() for series in self.rates.values()],
            "cold_start": [series.to_json() for series in self.cold.values()],
            "ratios": self.ratios(),
        }


def measure(plan: InferencePlan, names: Sequence[str], spec: Spec, progress: StepProgress) -> InferenceResults:
    """Measure all contenders in turn.

    Args:
        plan: How often what is measured.
        names: The contenders.
        spec: What they are made from, all but the name.
        progress: Is begun here.

    Raises:
        BenchmarkError: A contender failed.
    """
    results = InferenceResults()
    progress.begin(plan.steps(names))
    _measure_cold_starts(plan, names, spec, results, progress)
    with ExitStack() as stack:
        gemm, *workers = (stack.enter_context(running(replace(spec, name=name))) for name in (GEMM, *names))
        by_name: Mapping[str, Worker] = dict(zip(names, workers, strict=True))
        results.flops_per_sample = int(gemm.first["flops_per_sample"])
        for _ in range(plan.rounds):
            progress.step(GEMM)
            results.gemm.rounds.append(gemm.ask(seconds=plan.seconds))
            for name, batch_size in plan.turns(names):
                progress.step(f"{name}, batches of {batch_size}")
                figures = by_name[name].ask(batch_size=batch_size, seconds=plan.seconds)
                labels = {"contender": name, "batch_size": batch_size}
                results.rates.setdefault((name, batch_size), Series(labels)).rounds.append(figures)
    return results


def _measure_cold_starts(
    plan: InferencePlan, names: Sequence[str], spec: Spec, results: InferenceResults, progress: StepProgress
) -> None:
    for _ in range(plan.cold_starts):
        for name in (IMPORT_TORCH, *names):
            progress.step(f"cold start, {name}")
            series = results.cold.setdefault(name, Series({"contender": name}))
            if name == IMPORT_TORCH:
                series.rounds.append({COLD: duration_s(["-c", IMPORT_TORCH])})
                continue
            with running(replace(spec, name=name)) as worker:
                series.rounds.append({COLD: worker.cold_start_s, PEAK: worker.first["peak_mb"]})
