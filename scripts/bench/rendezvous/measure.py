"""Carries a plan out. What fails is noted and left out, and the rest goes on."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rendezvous_server.protocol import Topology
from scripts.bench.errors import BenchmarkError
from scripts.bench.other_work import with_other_work
from scripts.bench.rendezvous.group import GroupLoad, raise_file_limit
from scripts.bench.rendezvous.pairing import PairingCase, PairingLoad
from scripts.bench.rendezvous.plan import RendezvousPlan
from scripts.bench.rendezvous.relay import relay_round
from scripts.bench.rounds import Attempts, ratios
from scripts.bench.servers import Server, our_server
from scripts.series import Round, Series
from scripts.step_progress import StepProgress

PARTS = ("pairing", "group", "relay")
WARM_UP_RANKS = 2
COMPARED = ("pairings_per_s", "median_ms", "p99_ms", "cpu_us_per_pairing")


@dataclass
class RendezvousResults:
    """What was measured of every part."""

    pairing: list[Series] = field(default_factory=list)
    pairing_ratios: list[Series] = field(default_factory=list)  # ours over the other's
    group: list[Series] = field(default_factory=list)
    relay: list[Series] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        parts = {
            "pairing": self.pairing,
            "pairing_ratios": self.pairing_ratios,
            "group": self.group,
            "relay": self.relay,
        }
        return {**{name: [one.to_json() for one in part] for name, part in parts.items()}, "failures": self.failures}


def measure(
    plan: RendezvousPlan, parts: Sequence[str], against: Sequence[Server], progress: StepProgress
) -> RendezvousResults:
    """Measure one part after the other.

    Args:
        plan: What is measured, and how often.
        parts: Which of PARTS are.
        against: Servers that are measured in turn with ours, in the pairing dialect.
        progress: Is begun here.
    """
    progress.begin(plan.steps(parts, servers=1 + len(against)))
    results = RendezvousResults()
    if "pairing" in parts:
        with our_server() as ours:
            PairingBench(plan, [ours, *against], results, progress).run()
    if "group" in parts:
        measure_group(plan, results, progress)
    if "relay" in parts:
        measure_relay(plan, results, progress)
    return results


class PairingBench:
    """Servers take turns within each case, so that what else the machine does hits all of them alike."""

    def __init__(
        self, plan: RendezvousPlan, servers: Sequence[Server], results: RendezvousResults, progress: StepProgress
    ) -> None:
        self._plan = plan
        self._servers = servers
        self._results = results
        self._progress = progress
        self._series: dict[tuple[PairingCase, Server], Series] = {}
        self._attempts = Attempts(results.failures)
        self._token = secrets.token_hex(4)  # so that two benchmarks of one server do not meet
        self._rounds = 0

    def run(self) -> None:
        """Measure every case at every server, and add what was found to the results."""
        for server in self._servers:
            self._attempt(PairingCase(self._plan.in_flight[0]), server, self._plan.warm_up)
        for cases in self._plan.pairing_rounds():
            self._neighbours(cases)
        self._results.pairing += self._series.values()
        if len(self._servers) == 2:
            self._compare(*self._servers)

    def _neighbours(self, cases: Sequence[PairingCase]) -> None:
        alone: dict[Server, Round] = {}
        for case in cases:
            for server in self._servers:
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
        load = PairingLoad((server.host, server.port), case, pairings, f"bench-{self._token}-{self._rounds}")
        figures = with_other_work(server.cpu_s, lambda: load.run(server.cpu_s))
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


def measure_group(plan: RendezvousPlan, results: RendezvousResults, progress: StepProgress) -> None:
    """Measure every world in every topology."""
    most_ranks = raise_file_limit()
    attempts = Attempts(results.failures)
    for topology, world_size in plan.groups():
        what = f"group of {world_size:,} ranks, {topology.name.lower()} topology"
        series = Series({"world_size": world_size, "topology": topology.name.lower()})
        for _ in range(plan.rounds):
            progress.step(what)
            if figures := attempts.attempt(what, partial(_bootstrap, world_size, topology, most_ranks)):
                series.rounds.append(figures)
        if series.rounds:
            results.group.append(series)


def _bootstrap(world_size: int, topology: Topology, most_ranks: int) -> Round:
    """One round, with a server of its own, so that the peak of its memory is that round's."""
    if world_size > most_ranks:
        raise BenchmarkError(f"skipped, as open files are limited: at most {most_ranks:,} ranks (ulimit -Hn)")
    with our_server() as server:
        _load_group(server, WARM_UP_RANKS, topology)
        return with_other_work(server.cpu_s, lambda: _load_group(server, world_size, topology))


def _load_group(server: Server, world_size: int, topology: Topology) -> Round:
    load = GroupLoad(server, world_size, topology, f"bench-{world_size}")
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
