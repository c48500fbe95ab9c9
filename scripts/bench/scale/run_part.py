"""A whole run. Init, rank 0, an inner rank, a leaf and Summarize are real handlers in processes of their own.

The other ranks have real communicators, many to a process, and take turns: an inner rank and its leaves after another.
Rank 0 and the measured inner rank are there all the time. Their inference is held until all parts below have been
given, as it would last as long as theirs. What taking these parts cost meanwhile counts as though they had all come at
the last moment.
"""

import json
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lambda_image.gather_tree import STAR, gather_place, most_connections, plan_width
from lambda_image.manifest import result_key
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import MeasuredProcess
from scripts.bench.scale.descriptors import LAMBDAS
from scripts.bench.scale.object_server import PREFIX
from scripts.bench.scale.plan import ScalePlan
from scripts.bench.scale.processes import start_crowd, start_function, start_rank, start_server
from scripts.bench.scale.run_server import ARN, BUCKET, PATH
from scripts.bench.scale.stand_in import StandInObjects
from scripts.bench.scale.summarize_part import check_summary
from scripts.bench.servers import Server, our_server
from scripts.series import Round

DATA_BUCKET = "sky"
INIT, ROOT, INNER, LEAF, SUMMARIZE, RUN = "init", "root", "inner", "leaf", "summarize", "run"
RATE = 500  # galaxies that a rank infers in a second: what it is billed for
CROWDS = 2  # processes, each of which has a core
# Ranks come one after another here, and the group of inner ranks is complete when the last one has come.
PATIENT = {"RENDEZVOUS_GROUP_TIMEOUT_S": "3600"}

Group = tuple[int | None, list[int]]  # an inner rank, or none in a star, and its leaves


def run_round(plan: ScalePlan, ranks: int, limit_s: float) -> Round:
    """Make one run.

    Args:
        plan: How many galaxies each rank has.
        ranks: How many there are.
        limit_s: The longest that any process may take for an answer, in seconds.

    Returns:
        By process and in all: seconds, peak memory in MB, requests to S3, descriptors, and what is billed beyond
        inference.

    Raises:
        BenchmarkError: A part of it failed, or the summary is wrong.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-"))
        rendezvous = stack.enter_context(our_server(settings=PATIENT))
        return WholeRun(stack, Path(folder), rendezvous, plan, ranks, limit_s).measure()


def groups_of(ranks: int, width: int) -> list[Group]:
    """Return who gathers whose parts, apart from rank 0.

    Args:
        ranks: How many there are.
        width: Of how many an inner rank speaks, itself included; STAR for none.
    """
    if width == STAR:
        return [(None, list(range(1, ranks)))]
    below = {rank: gather_place(rank, ranks, width).down for rank in range(1, ranks, width)}
    return [(rank, list(group.members[1:]) if group else []) for rank, group in below.items()]


def without(groups: Sequence[Group], ranks: Collection[int]) -> list[Group]:
    """Return the same groups without some ranks, and without those that then are empty."""
    left = [
        (None if inner in ranks else inner, [leaf for leaf in leaves if leaf not in ranks]) for inner, leaves in groups
    ]
    return [(inner, leaves) for inner, leaves in left if inner is not None or leaves]


class WholeRun:
    """One run, whose processes end with a stack."""

    def __init__(
        self, stack: ExitStack, folder: Path, rendezvous: Server, plan: ScalePlan, ranks: int, limit_s: float
    ) -> None:
        self._stack, self._rendezvous = stack, rendezvous
        self._plan, self._ranks, self._limit_s = plan, ranks, limit_s
        self._width = plan_width(ranks, most_connections(LAMBDAS)) or STAR
        self._present = {ROOT: 0, LEAF: 1} if self._width == STAR else {ROOT: 0, INNER: 1, LEAF: 2}
        self._figures: Round = {"width": float(self._width)}
        self._stored, self._lap_began = StandInObjects(folder), 0.0
        self._before = {"requests": 0.0, "mb": 0.0}
        spec = {"ranks": ranks, "galaxies": plan.galaxies, "answer_s": plan.answer_s, "folder": str(folder)}
        present = list(self._present.values())
        self._server = start_server(stack, "whole_run_server", {**spec, "present": present}, limit_s)
        self._port = self._server.answer()["port"]
        self._key = (rendezvous.key or b"").decode()

    def measure(self) -> Round:
        """Make it."""
        run = self._init()
        items = json.loads(self._stored.file(run["manifest_key"]).read_bytes())
        processes = {name: self._start(name, items[rank]) for name, rank in self._present.items()}
        self._take(LEAF, processes[LEAF])
        self._crowd(items, without(groups_of(self._ranks, self._width), self._present.values()))
        for name in (INNER, ROOT):
            if name in processes:
                self._begin_lap()
                processes[name].tell()
                self._take(name, processes[name])
        self._summarize(run)
        self._sum_up()
        return self._figures

    def _init(self) -> dict[str, Any]:
        init = start_function(self._stack, INIT, self._port, self._limit_s)
        init.answer()
        endpoint = f"{self._rendezvous.host}:{self._rendezvous.port}"
        given: dict[str, Any] = {"bucket": BUCKET, "data_bucket": DATA_BUCKET, "data_prefix": PREFIX}
        given["rendezvous_endpoint"] = endpoint
        if self._plan.gather_limit is not None:
            given["gather_limit"] = self._plan.gather_limit
        self._begin_lap()
        started_at = datetime.now(UTC).isoformat()
        init.tell(input={**given, "result_path": PATH}, execution=ARN, started_at=started_at)
        told = init.answer()
        self._note(INIT, {**told["figures"], **self._traffic()})
        run: dict[str, Any] = told["returned"]
        if run["world_size"] != self._ranks:
            raise BenchmarkError(f"Init dealt to {run['world_size']:,} ranks, not to {self._ranks:,}")
        return run

    def _start(self, name: str, item: Mapping[str, Any]) -> MeasuredProcess:
        """A rank that works from now on; one that gathers, until its inference is held."""
        spec = {"galaxies": self._plan.galaxies, "data_bucket": DATA_BUCKET, "held": name != LEAF}
        rank = start_rank(self._stack, name, spec, self._port, self._key, self._limit_s)
        rank.answer()
        self._begin_lap()
        rank.tell(item=item, attempt=0, entered_at=datetime.now(UTC).isoformat())
        if name != LEAF:
            rank.answer()
        return rank

    def _take(self, name: str, process: MeasuredProcess) -> None:
        """The figures of a rank that ends."""
        figures = process.answer()["figures"]
        record = json.loads(self._stored.file(result_key(PATH, self._present[name])).read_bytes())
        if reason := record["error"] or record["gather_error"]:
            raise BenchmarkError(f"the {name} rank: {reason}")
        phases = record["phases"]
        beyond_s = figures["seconds"] - phases["inference_s"] + figures["held_cpu_s"]
        waits = {"wait_s": phases["wait_s"], "beyond_s": beyond_s, "beyond_percent": self._share(beyond_s)}
        self._note(name, {**figures, **waits, "mb": self._traffic()["mb"]})

    def _crowd(self, items: Sequence[Mapping[str, Any]], groups: Sequence[Group]) -> None:
        """All other ranks, in turn."""
        self._begin_lap()
        crowds = []
        for mine in filter(None, (groups[place::CROWDS] for place in range(CROWDS))):
            spec = {"galaxies": self._plan.galaxies}
            crowd = start_crowd(self._stack, spec, self._port, self._key, self._limit_s)
            crowd.answer()
            ranks = sorted(rank for inner, leaves in mine for rank in (inner, *leaves) if rank is not None)
            crowd.tell(items=[items[rank] for rank in ranks], groups=mine)
            crowds.append((crowd, len(ranks)))
        figures = {"descriptors": 0.0, "peak_mb": 0.0, "ranks": 0.0, "wait_s": 0.0, "cpu_s": 0.0}
        for crowd, count in crowds:
            told = crowd.answer()
            if told["failures"] or told["gave"] != count:
                raise BenchmarkError(f"{told['gave']:,} of {count:,} ranks gave their part; {told['failures']}")
            figures["ranks"] += count
            for what in ("wait_s", "cpu_s"):
                figures[what] += told[what]
            for what in ("descriptors", "peak_mb"):
                figures[what] = max(figures[what], told[what])
        self._note("crowd", figures)

    def _summarize(self, run: Mapping[str, Any]) -> None:
        summarize = start_function(self._stack, SUMMARIZE, self._port, self._limit_s)
        summarize.answer()
        self._begin_lap()
        summarize.tell(state={"run": run, "ranks": []}, entered_at=datetime.now(UTC).isoformat())
        told = summarize.answer()
        check_summary(told["returned"], self._ranks, self._plan.galaxies)
        self._note(SUMMARIZE, {**told["figures"], **self._traffic()})

    def _sum_up(self) -> None:
        """What the run takes in all, where each inner rank counts as the measured one, and so does each leaf."""
        figures, inner = self._figures, len(groups_of(self._ranks, self._width)) if INNER in self._present else 0
        counts = {ROOT: 1, INNER: inner, LEAF: self._ranks - 1 - inner, INIT: 1, SUMMARIZE: 1}
        for what in ("requests", "mb", "beyond_s", "wait_s"):
            names = (name for name in counts if f"{name}_{what}" in figures)
            figures[f"{RUN}_{what}"] = sum(counts[name] * figures[f"{name}_{what}"] for name in names)
        figures[f"{RUN}_beyond_percent"] = self._share(figures[f"{RUN}_beyond_s"] / self._ranks)
        laps = (INIT, LEAF, "crowd", INNER, ROOT, SUMMARIZE)
        figures[f"{RUN}_lap_s"] = sum(figures.get(f"{name}_lap_s", 0.0) for name in laps)

    def _begin_lap(self) -> None:
        self._traffic()
        self._lap_began = time.perf_counter()

    def _note(self, name: str, figures: Mapping[str, float]) -> None:
        """Keeps what was found of a process, and how long the run took for it."""
        figures = {**figures, "lap_s": time.perf_counter() - self._lap_began}
        self._figures |= {f"{name}_{what}": float(value) for what, value in figures.items()}

    def _share(self, beyond_s: float) -> float:
        """Percent of what a rank is billed for."""
        return 100 * beyond_s / (self._plan.galaxies / RATE + beyond_s)

    def _traffic(self) -> dict[str, float]:
        """Requests to S3 since the last time, and MB both ways."""
        self._server.tell()
        counts = self._server.answer()
        size = counts.pop("out_bytes") + counts.pop("in_bytes")
        now = {"requests": float(sum(counts.values())), "mb": size / 2**20}
        before, self._before = self._before, now
        return {name: now[name] - before[name] for name in now}
