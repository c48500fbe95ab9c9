"""Carries a plan out.

Contenders take turns within each case, in another order every time, so that what else the machine does hits all of them
alike. What fails is noted and left out, and the rest goes on.
"""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, median
from typing import Any

from scripts.bench.comm.contenders import GLOO, OURS, RAW
from scripts.bench.comm.operations import GATHER
from scripts.bench.comm.plan import CommPlan, OperationCase
from scripts.bench.comm.ranks import Ranks, running
from scripts.bench.errors import BenchmarkError
from scripts.bench.other_work import with_other_work
from scripts.bench.rounds import Attempts
from scripts.bench.servers import our_server
from scripts.series import Round, Series
from scripts.step_progress import StepProgress

TIME, RATE, SHARE, TIMES = "ms", "mb_per_s", "share_of_raw", "times_gloo"
ROOT_CPU, OTHERS_CPU = "cpu_ms_of_root", "cpu_ms_of_each_other"  # processor time of an operation


@dataclass
class CommResults:
    """What was measured of every contender."""

    series: list[Series] = field(default_factory=list)  # labels: operation, size, world_size, contender, kind
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        return {"comm": [one.to_json() for one in self.series], "failures": self.failures}


def measure(plan: CommPlan, operations: Sequence[str], progress: StepProgress) -> CommResults:
    """Measure all contenders in turn.

    Args:
        plan: What is measured, and how often.
        operations: Their names.
        progress: Is begun here.
    """
    progress.begin(plan.steps(operations))
    results, order = CommResults(), random.Random(1)
    attempts = Attempts(results.failures)
    with our_server() as server:
        for world_size in plan.worlds:
            with ExitStack() as stack:
                contenders = list[Ranks]()
                for contender in plan.contenders:
                    try:
                        contenders.append(stack.enter_context(running(contender, world_size, server, plan.limit_s)))
                    except BenchmarkError as error:
                        results.failures.append(f"{world_size} ranks: {contender.name}: {error}")
                for case in plan.cases(operations):
                    series = _rounds(plan, case, world_size, contenders, order, attempts, progress)
                    compare(series)
                    results.series += series
    return results


def _rounds(
    plan: CommPlan,
    case: OperationCase,
    world_size: int,
    contenders: list[Ranks],
    order: random.Random,
    attempts: Attempts,
    progress: StepProgress,
) -> list[Series]:
    labels = {**case.labels, "world_size": world_size}
    series = {
        ranks.contender: Series({**labels, "contender": ranks.contender.name, "kind": ranks.contender.kind})
        for ranks in contenders
    }
    for _ in range(plan.rounds):
        for ranks in order.sample(contenders, len(contenders)):
            what = f"{case}, {world_size} ranks: {ranks.contender.name}"
            progress.step(what)
            if figures := attempts.attempt(what, partial(_round, plan, case, ranks)):
                series[ranks.contender].rounds.append(figures)
            else:
                contenders.remove(ranks)  # they have lost step
    return [one for one in series.values() if one.rounds]


def _round(plan: CommPlan, case: OperationCase, ranks: Ranks) -> Round:
    def measure() -> Round:
        answers = ranks.round(case.operation, case.size, plan.count(case.size), plan.warm_up)
        return figures_of(case, len(ranks.processes), answers)

    return with_other_work(ranks.cpu_s, measure)


def figures_of(case: OperationCase, world_size: int, answers: Sequence[dict[str, list[int]]]) -> Round:
    """Return the figures of one round, from what each rank has answered.

    An operation lasts from the first rank's beginning until all have ended. A gather lasts until the root has all
    parts, as that is what everybody's gather gives.
    """
    began = [min(times) for times in zip(*(answer["began"] for answer in answers), strict=True)]
    waiting = answers[:1] if case.operation == GATHER else answers
    ended = [max(times) for times in zip(*(answer["ended"] for answer in waiting), strict=True)]
    seconds = median(end - begin for begin, end in zip(began, ended, strict=True)) / 1e9
    root, *others = (median(answer["cpu"]) / 1e6 for answer in answers)
    figures = {TIME: 1e3 * seconds, ROOT_CPU: root, OTHERS_CPU: fmean(others)}
    if case.size:
        figures[RATE] = case.size * (world_size - 1) / 1e6 / seconds
    return figures


def compare(series: Sequence[Series]) -> None:
    """Put beside each figure of ours what share of raw sockets' speed that is, and how many times Gloo's.

    The series are those of one case. They are compared round by round, as neighbours in time had the same machine. Raw
    sockets are those of the style that was fastest here.
    """
    for name, kind in ((SHARE, RAW), (TIMES, GLOO)):
        rivals = [one for one in series if one.labels["kind"] == kind]
        if not rivals:
            continue
        best = fastest(rivals)
        for one in series:
            if one.labels["kind"] == OURS:
                for figures, theirs in zip(one.rounds, best.rounds, strict=False):  # one may have failed in the end
                    figures[name] = theirs[TIME] / figures[TIME]


def fastest(series: Sequence[Series]) -> Series:
    """Return the series whose median time is the lowest."""
    return min(series, key=lambda one: one.figures()[TIME].median)
