"""Carries a plan out: contenders take turns within each case, in another order every time, so that what else the
machine does hits all of them alike. What fails is noted and left out, and the rest goes on.
"""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from scripts.bench.comm.contenders import GLOO, OURS, RAW
from scripts.bench.comm.operations import GATHER
from scripts.bench.comm.plan import Case, Plan
from scripts.bench.comm.ranks import Ranks, running
from scripts.bench.errors import BenchmarkError
from scripts.bench.machine import OtherWork
from scripts.bench.progress import BenchProgress
from scripts.bench.rounds import Round, Series
from scripts.bench.servers import our_server

OTHER_WORK = "other_work_cores"
TIME, RATE, SHARE, TIMES = "ms", "mb_per_s", "share_of_raw", "times_gloo"


@dataclass
class Results:
    series: list[Series] = field(default_factory=list)  # labels: operation, size, world_size, contender, kind
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"comm": [one.to_json() for one in self.series], "failures": self.failures}


def measure(plan: Plan, operations: tuple[str, ...], results: Results, progress: BenchProgress) -> None:
    order = random.Random(1)
    with our_server() as server:
        for world_size in plan.worlds:
            with ExitStack() as stack:
                contenders = list[Ranks]()
                for contender in plan.contenders:
                    try:
                        contenders.append(stack.enter_context(running(contender, world_size, server, plan.limit_s)))
                    except BenchmarkError as error:
                        results.failures.append(f"{world_size} ranks: {error}")
                for case in plan.cases(operations):
                    series = _rounds(plan, case, world_size, contenders, order, results, progress)
                    compare(series)
                    results.series += series


def _rounds(
    plan: Plan,
    case: Case,
    world_size: int,
    contenders: list[Ranks],
    order: random.Random,
    results: Results,
    progress: BenchProgress,
) -> list[Series]:
    labels = {**case.labels, "world_size": world_size}
    series = {
        ranks.contender: Series({**labels, "contender": ranks.contender.name, "kind": ranks.contender.kind})
        for ranks in contenders
    }
    for _ in range(plan.rounds):
        for ranks in order.sample(contenders, len(contenders)):
            progress.step(f"{case}, {world_size} ranks: {ranks.contender.name}")
            try:
                other_work = OtherWork(ranks.cpu_s)
                answers = ranks.round(case.operation, case.size, plan.count(case.size), plan.warm_up)
                figures = figures_of(case, world_size, answers)
                if (cores := other_work.cores()) is not None:
                    figures[OTHER_WORK] = cores
                series[ranks.contender].rounds.append(figures)
            except BenchmarkError as error:
                results.failures.append(f"{case}, {world_size} ranks: {error}")
                contenders.remove(ranks)  # its ranks have lost step
    return [one for one in series.values() if one.rounds]


def figures_of(case: Case, world_size: int, answers: Sequence[dict[str, list[int]]]) -> Round:
    """Of one round. An operation lasts from the first rank's beginning until all have ended; a gather until the root
    has all parts, as that is what everybody's gather gives.
    """
    began = [min(times) for times in zip(*(answer["began"] for answer in answers), strict=True)]
    waiting = answers[:1] if case.operation == GATHER else answers
    ended = [max(times) for times in zip(*(answer["ended"] for answer in waiting), strict=True)]
    seconds = median(end - begin for begin, end in zip(began, ended, strict=True)) / 1e9
    figures = {TIME: 1e3 * seconds}
    if case.size:
        figures[RATE] = case.size * (world_size - 1) / 1e6 / seconds
    return figures


def compare(series: Sequence[Series]) -> None:
    """Puts beside each figure of a case what share of raw sockets' speed that is, and how many times Gloo's. Round by
    round: neighbours in time had the same machine. Raw sockets are those of the style that was fastest here.
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
    return min(series, key=lambda one: one.figures()[TIME].median)
