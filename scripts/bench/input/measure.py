"""All mutations one after another, through a worker that is started again where it has ended."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.predictions import Predictions
from scripts.bench.errors import BenchmarkError
from scripts.bench.inference.contenders import quiet_environ
from scripts.bench.input.judge import FAILED, Judge, Verdict
from scripts.bench.input.mutations import Mutation, mutate
from scripts.bench.input.originals import Original, originals
from scripts.bench.processes import MeasuredProcess
from scripts.step_progress import StepProgress

MODULE = "scripts.bench.input.worker"
MEMORY_MB = 256  # beyond what the worker has when it is ready: a file here has 4 MB
LIMIT_S = 20.0  # for one file, of which the worker infers 12 galaxies; a start with PyTorch takes as long
FILES_PER_STEP = 25


@dataclass(frozen=True)
class Failed:
    """A mutation that failed: its number, its change, its file's original, and why."""

    number: int
    kind: str
    change: str
    original: str
    problems: list[str]

    def __str__(self) -> str:
        why = self.problems[0].strip().splitlines()[-1]
        return f"mutation {self.number} ({self.original}, {self.change}): {why}"


@dataclass
class InputResults:
    """What came of all mutations.

    Attributes:
        engine: What predicted.
        outcomes: Files by their kind of change, and by what came of them.
        rows: Rows of the files that were read, by what became of them.
        failed: The mutations that failed.
    """

    engine: str = ""
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)

    @property
    def failures(self) -> Sequence[str]:
        """A line for each mutation that failed."""
        return [str(one) for one in self.failed]

    def add(self, mutation: Mutation, verdict: Verdict) -> None:
        """Count a mutation."""
        self.outcomes.setdefault(mutation.kind, Counter())[verdict.outcome] += 1
        self.rows.update(verdict.rows)
        if verdict.outcome == FAILED:
            original = mutation.original.name
            self.failed.append(Failed(mutation.number, mutation.kind, mutation.change, original, verdict.problems))

    def to_json(self) -> dict[str, Any]:
        """Give the counts as the report has them."""
        return {
            "engine": self.engine,
            "outcomes": {kind: dict(counts) for kind, counts in sorted(self.outcomes.items())},
            "rows": dict(self.rows),
            "failed": [asdict(one) for one in self.failed],
        }


class InputWorker:
    """The process that reads and predicts. It is there again for the next file, should one end it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start()

    def _start(self) -> None:
        spec = {"memory_mb": MEMORY_MB}
        self._process = MeasuredProcess("the worker", MODULE, spec, quiet_environ(1), LIMIT_S, quiet=False)
        self.engine: str = self._process.answer()["engine"]

    def ask(
        self, name: str, data: bytes, rows: tuple[int, int] | None = None, on_bad_row: str = "flag"
    ) -> tuple[dict[str, Any], bytes | None]:
        """Have a file predicted, and return the answer with the table that it speaks of."""
        file, table = self._folder / name, self._folder / "table.parquet"
        file.write_bytes(data)
        try:
            self._process.tell(file=str(file), rows=rows, on_bad_row=on_bad_row, table=str(table))
            answer = self._process.answer()
        except BenchmarkError as error:
            self.stop()
            self._start()
            answer = {"traceback": str(error)}
        finally:
            file.unlink()
        return answer, table.read_bytes() if "rows" in answer else None

    @property
    def pid(self) -> int:
        """Of the process as it is now."""
        return self._process.pid

    def stop(self) -> None:
        """End the process."""
        self._process.stop()


def measure(seed: int, numbers: Sequence[int], keep: Path | None, progress: StepProgress) -> InputResults:
    """Have the mutations of these numbers read, and judge what comes of them."""
    results = InputResults()
    progress.begin(1 + len(numbers) // FILES_PER_STEP)
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as folder:
        worker = InputWorker(Path(folder))
        try:
            results.engine = worker.engine
            progress.step("good files")
            good = originals()
            judge = Judge(good, {original.name: _predicted(worker, original) for original in good}, worker.engine)
            for done, number in enumerate(numbers):
                if done % FILES_PER_STEP == FILES_PER_STEP - 1:
                    progress.step("changed files")
                mutation = mutate(seed, number, good)
                answer, table = worker.ask(mutation.original.name, mutation.data, mutation.rows, mutation.on_bad_row)
                verdict = judge.verdict(mutation, answer, table)
                results.add(mutation, verdict)
                if keep is not None and (verdict.outcome == FAILED or len(numbers) == 1):
                    (keep / f"{number}-{mutation.original.name}").write_bytes(mutation.data)
                if len(numbers) == 1:
                    _show(mutation, answer, verdict, progress)
        finally:
            worker.stop()
    return results


def _predicted(worker: InputWorker, original: Original) -> np.ndarray:
    answer, table = worker.ask(original.name, original.write(original.tensors))
    if table is None or answer["rows"]["predicted"] != answer["rows"]["in"]:
        raise BenchmarkError(f"the good file {original.name} is not predicted: {answer}")
    return Predictions.from_parquet(table).redshift


def _show(mutation: Mutation, answer: dict[str, Any], verdict: Verdict, progress: StepProgress) -> None:
    progress.say(f"{mutation.original.name}: {mutation.change}")
    progress.say(f"rows {mutation.rows or 'all'}, on_bad_row {mutation.on_bad_row}")
    progress.say(str(answer.get("traceback") or answer))
    for line in (verdict.outcome, *verdict.problems):
        progress.say(line)
