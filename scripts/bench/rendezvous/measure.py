"""Carries a plan out. What fails is noted and left out, and the rest goes on: minutes of measuring are not lost for one
server that stops."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rendezvous_server.protocol import Topology
from scripts.bench.errors import BenchmarkError
from scripts.bench.machine import OtherWork
from scripts.bench.progress import BenchProgress
from scripts.bench.rendezvous.group import GroupLoad, raise_file_limit
from scripts.bench.rendezvous.pairing import Case, PairingLoad
from scripts.bench.rendezvous.plan import Plan
from scripts.bench.rendezvous.relay import relay_round
from scripts.bench.rounds import Round, Series, ratios
from scripts.bench.servers import Server, our_server

WARM_UP_RANKS = 2
OTHER_WORK = "other_work_cores"
COMPARED = ("pairings_per_s", "median_ms", "p99_ms", "cpu_us_per_pairing")


@dataclass
class Results:
    pairing: list[Series] = field(default_factory=list)
    pairing_ratios: list[Series] = field(default_factory=list)  # ours over the other's
    group: list[Series] = field(default_factory=list)
    relay: list[Series] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        parts = {
            "pairing": self.pairing,
            "pairing_ratios": self.pairing_ratios,
            "group": self.group,
            "relay": self.relay,
        }
        return {**{name: [one.to_json() for one in part] for name, part in parts.items()}, "failures": self.failures}


class PairingBench:
    """Servers take turns within each case, so that what else the machine does hits all of them alike."""

    def __init__(self, plan: Plan, servers: Sequence[Server], results: Results, progress: BenchProgress) -> None:
        self._plan = plan
        self._servers = servers
        self._results = results
        self._progress = progress
        self._series: dict[tuple[Case, Server], Series] = {}
        self._failed: set[tuple[Case, Server]] = set()  # once is enough: a stalled server takes its time about it
        self._token = secrets.token_hex(4)  # so that two benchmarks of one server do not meet
        self._rounds = 0

    def run(self) -> None:
        for server in self._servers:
            self._round(Case(self._plan.in_flight[0]), server, self._plan.warm_up)
        for cases in self._plan.pairing_rounds():
            self._neighbours(cases)
        self._results.pairing += self._series.values()
        if len(self._servers) == 2:
            self._compare(*self._servers)

    def _neighbours(self, cases: Sequence[Case]) -> None:
        alone: dict[Server, Round] = {}
        for case in cases:
            for server in self._servers:
                self._progress.step(f"pairing at {server.name}, {case}")
                figures = self._round(case, server, self._plan.pairings)
                if not figures:
                    continue
                if case.crowded and server in alone:
                    figures["p99_to_alone"] = figures["p99_ms"] / alone[server]["p99_ms"]
                elif len(cases) > 1:
                    alone[server] = figures  # what the crowded ones are compared to; the series has its own rounds
                    continue
                labels = {"server": server.name, **case.labels}
                self._series.setdefault((case, server), Series(labels)).rounds.append(figures)

    def _round(self, case: Case, server: Server, pairings: int) -> Round:
        """Empty if it failed, now or before."""
        if (case, server) in self._failed:
            return {}
        self._rounds += 1
        server.forget_log()
        load = PairingLoad((server.host, server.port), case, pairings, f"bench-{self._token}-{self._rounds}")
        try:
            other_work = OtherWork(server.cpu_s)
            figures, faults = load.run(server.cpu_s), load.faults
            _note(figures, other_work)
        except BenchmarkError as error:
            figures, faults = {}, [str(error)]
        if faults:
            self._failed.add((case, server))
            self._results.failures.append(f"pairing at {server.name}, {case}: {'; '.join(faults)}")
            return {}
        return figures

    def _compare(self, ours: Server, other: Server) -> None:
        for (case, server), series in self._series.items():
            theirs = self._series.get((case, other))
            if server == ours and theirs is not None:
                labels = {"server": f"{ours.name} / {other.name}", **case.labels}
                compared = ratios(series.rounds, theirs.rounds, COMPARED)
                self._results.pairing_ratios.append(Series(labels, compared))


def measure_group(plan: Plan, results: Results, progress: BenchProgress) -> None:
    """A fresh server for every round: the peak of its memory is that round's."""
    room = raise_file_limit()
    for topology, world_size in plan.groups():
        series = Series({"world_size": world_size, "topology": topology.name.lower()})
        failure = (
            "" if world_size <= room else f"skipped, as open files are limited: at most {room:,} ranks (ulimit -Hn)"
        )
        for _ in range(plan.rounds):
            progress.step(f"group of {world_size:,} ranks, {topology.name.lower()} topology")
            if failure:
                continue
            figures, failure = _bootstrap(world_size, topology)
            if figures:
                series.rounds.append(figures)
        if failure:
            results.failures.append(f"group of {world_size:,} ranks, {topology.name.lower()} topology: {failure}")
        if series.rounds:
            results.group.append(series)


def _bootstrap(world_size: int, topology: Topology) -> tuple[Round, str]:
    """Figures, or what failed."""
    try:
        with our_server() as server:
            for size in (WARM_UP_RANKS, world_size):
                load = GroupLoad(server, size, topology, f"bench-{size}")
                other_work = OtherWork(server.cpu_s)
                figures = load.run()
                if load.fault:
                    return {}, load.fault
                _note(figures, other_work)
            return figures, ""
    except BenchmarkError as error:
        return {}, str(error)


def measure_relay(plan: Plan, results: Results, progress: BenchProgress) -> None:
    series = Series({"bytes": plan.relay_bytes})
    for _ in range(plan.rounds):
        progress.step("relay")
        try:
            with our_server() as server:
                other_work = OtherWork(server.cpu_s)
                figures = relay_round(server, plan.relay_bytes)
                _note(figures, other_work)
        except (BenchmarkError, OSError) as error:
            results.failures.append(f"relay: {error}")
            break
        series.rounds.append(figures)
    if series.rounds:
        results.relay.append(series)


def _note(figures: Round, other_work: OtherWork) -> None:
    cores = other_work.cores()
    if figures and cores is not None:
        figures[OTHER_WORK] = cores
