"""Carries a plan out. What fails is noted and left out, and the rest goes on."""

import os
import secrets
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rendezvous_server.protocol import Join
from scripts.bench.errors import BenchmarkError
from scripts.bench.other_work import with_other_work
from scripts.bench.processes import ROOT
from scripts.bench.rendezvous.group import GroupLoad, raise_file_limit
from scripts.bench.rendezvous.pairing import PairingCase, PairingLoad, compiled_clients
from scripts.bench.rendezvous.plan import RendezvousPlan
from scripts.bench.rendezvous.relay import relay_round
from scripts.bench.rendezvous.shapes import Shape, joins
from scripts.bench.rounds import Attempts, ratios
from scripts.bench.servers import OURS, Server, floor_server, our_server, pin
from scripts.series import Round, Series
from scripts.step_progress import StepProgress

PARTS = ("pairing", "crowd", "group", "relay")
PAIRINGS = {"pairing", "crowd"}
WARM_UP_RANKS = 2
COMPARED = ("pairings_per_s", "median_ms", "p99_ms", "cpu_us_per_pairing")
GROUPS_COMPARED = ("ms", "server_cpu_s", "server_kb_each")


@dataclass
class RendezvousResults:
    """What was measured of every part."""

    pairing: list[Series] = field(default_factory=list)
    pairing_ratios: list[Series] = field(default_factory=list)  # ours over the other's
    group: list[Series] = field(default_factory=list)
    group_ratios: list[Series] = field(default_factory=list)
    relay: list[Series] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        parts = {
            "pairing": self.pairing,
            "pairing_ratios": self.pairing_ratios,
            "group": self.group,
            "group_ratios": self.group_ratios,
            "relay": self.relay,
        }
        return {**{name: [one.to_json() for one in part] for name, part in parts.items()}, "failures": self.failures}


def measure(
    plan: RendezvousPlan,
    parts: Sequence[str],
    against: Sequence[Server],
    progress: StepProgress,
    base: tuple[str, Path] | None = None,
) -> RendezvousResults:
    """Measure one part after the other.

    Args:
        plan: What is measured, and how often.
        parts: Which of PARTS are.
        against: Servers that are measured in turn with ours, in the pairing dialect.
        progress: Is begun here.
        base: An earlier commit and its checkout, whose server is measured in turn with ours.
    """
    checkouts = [(OURS, ROOT), *([base] if base else [])]
    progress.begin(plan.steps(parts, len(checkouts) + len(against), len(checkouts)))
    results = RendezvousResults()
    if PAIRINGS & set(parts):
        with ExitStack() as stack:
            ours = [stack.enter_context(our_server(folder, name)) for name, folder in checkouts]
            floor = stack.enter_context(floor_server())
            clients = stack.enter_context(compiled_clients())
            PairingBench(plan, [*ours, floor, *against], results, progress, clients).run(parts)
    if "group" in parts:
        measure_group(plan, results, progress, checkouts)
    if "relay" in parts:
        measure_relay(plan, results, progress)
    return results


class PairingBench:
    """Servers take turns within each case, so that what else the machine does hits all of them alike."""

    def __init__(
        self,
        plan: RendezvousPlan,
        servers: Sequence[Server],
        results: RendezvousResults,
        progress: StepProgress,
        clients: Path,
    ) -> None:
        self._plan = plan
        self._clients = clients
        self._servers = servers
        self._results = results
        self._progress = progress
        self._series: dict[tuple[PairingCase, Server], Series] = {}
        self._attempts = Attempts(results.failures)
        self._token = secrets.token_hex(4)  # so that two benchmarks of one server do not meet
        self._rounds = 0

    def run(self, parts: Collection[str]) -> None:
        """Measure every case of PAIRINGS at every server, and add what was found to the results."""
        first_core = min(os.sched_getaffinity(0))  # the clients have the last one
        for server in self._servers:
            if server.pid is not None:
                pin(server.pid, first_core)
            self._attempt(PairingCase(self._plan.in_flight[0]), server, self._plan.warm_up)
        for cases in self._plan.pairing_rounds(parts):
            self._neighbours(cases)
        self._results.pairing += self._series.values()
        ours, *others = self._servers
        for other in others:
            self._compare(ours, other)

    def _neighbours(self, cases: Sequence[PairingCase]) -> None:
        alone: dict[Server, Round] = {}
        for case in cases:
            for server in self._servers:
                if len(cases) > 1 and not server.introduces:
                    continue  # the bare exchange is the least that is possible, and nobody crowds it
                self._progress.step(f"pairing at {server.name}, {case}")
                figures = self._attempt(case, server, self._plan.pairings)
                if not figures:
                    continue
                if case.crowded and server in alone:
                    figures["p99_to_alone"] = figures["p99_ms"] / alone[server]["p99_ms"]
                elif len(cases) > 1:
                    alone[server] = figures  # what the crowded ones are compared to; the series has its own rounds
                    continue
                labels = {"server": server.name, **case.labels}
                self._series.setdefault((case, server), Series(labels)).rounds.append(figures)

    def _attempt(self, case: PairingCase, server: Server, pairings: int) -> Round:
        return self._attempts.attempt(f"pairing at {server.name}, {case}", partial(self._round, case, server, pairings))

    def _round(self, case: PairingCase, server: Server, pairings: int) -> Round:
        self._rounds += 1
        server.forget_log()
        load = PairingLoad(self._clients, server, case, pairings, f"bench-{self._token}-{self._rounds}")
        figures = with_other_work(server.cpu_s, load.run)
        if load.faults:
            raise BenchmarkError("; ".join(load.faults))
        return figures

    def _compare(self, ours: Server, other: Server) -> None:
        for (case, server), series in self._series.items():
            theirs = self._series.get((case, other))
            if server == ours and theirs is not None:
                labels = {"server": f"{ours.name} / {other.name}", **case.labels}
                compared = ratios(series.rounds, theirs.rounds, COMPARED)
                self._results.pairing_ratios.append(Series(labels, compared))


def measure_group(
    plan: RendezvousPlan,
    results: RendezvousResults,
    progress: StepProgress,
    checkouts: Sequence[tuple[str, Path]] = ((OURS, ROOT),),
) -> None:
    """Measure every world in every shape, with the servers of these checkouts in turn."""
    most_ranks = raise_file_limit()
    attempts = Attempts(results.failures)
    for shape, world_size in plan.groups():
        labels = {"world_size": world_size, "topology": shape.value}
        series = {name: Series({"server": name, **labels}) for name, _ in checkouts}
        for _ in range(plan.rounds):
            for name, folder in checkouts:
                what = f"group of {world_size:,} ranks, {shape} topology"
                what += f", at {name}" if len(checkouts) > 1 else ""
                progress.step(what)
                bootstrap = partial(_bootstrap, world_size, shape, most_ranks, folder, name)
                if figures := attempts.attempt(what, bootstrap):
                    series[name].rounds.append(figures)
        results.group += [one for one in series.values() if one.rounds]
        for name, other in list(series.items())[1:]:
            if rounds := ratios(series[OURS].rounds, other.rounds, GROUPS_COMPARED):
                results.group_ratios.append(Series({"server": f"{OURS} / {name}", **labels}, rounds))


def _bootstrap(world_size: int, shape: Shape, most_ranks: int, folder: Path, name: str) -> Round:
    """One round, with a server of its own, so that the peak of its memory is that round's."""
    wanted = joins(shape, world_size, f"bench-{world_size}") if world_size <= most_ranks else []
    if not 0 < len(wanted) <= most_ranks:
        raise BenchmarkError(f"skipped, as open files are limited: at most {most_ranks:,} ranks (ulimit -Hn)")
    with our_server(folder, name) as server:
        _load_groups(server, joins(shape, WARM_UP_RANKS, "warm-up"))
        return with_other_work(server.cpu_s, lambda: _load_groups(server, wanted))


def _load_groups(server: Server, wanted: Sequence[Join]) -> Round:
    load = GroupLoad(server, wanted)
    figures = load.run()
    if load.fault:
        raise BenchmarkError(load.fault)
    return figures


def measure_relay(plan: RendezvousPlan, results: RendezvousResults, progress: StepProgress) -> None:
    """Measure the throughput of a relay."""
    series, attempts = Series({"bytes": plan.relay_bytes}), Attempts(results.failures)
    for _ in range(plan.rounds):
        progress.step("relay")
        if figures := attempts.attempt("relay", partial(_relay, plan.relay_bytes)):
            series.rounds.append(figures)
    if series.rounds:
        results.relay.append(series)


def _relay(size: int) -> Round:
    try:
        with our_server() as server:
            return with_other_work(server.cpu_s, lambda: relay_round(server, size))
    except OSError as error:
        raise BenchmarkError(str(error)) from error
