"""Which rounds are compared to which, with figures that are given instead of measured."""

import io
from pathlib import Path

from scripts.bench.rendezvous.measure import PAIRINGS, PairingBench, RendezvousResults, measure_group
from scripts.bench.rendezvous.pairing import PairingCase
from scripts.bench.rendezvous.plan import RendezvousPlan
from scripts.bench.rendezvous.shapes import Shape
from scripts.bench.servers import Server
from scripts.series import Round, Series
from scripts.step_progress import StepProgress

OURS, OTHER = Server("ours", "127.0.0.1", 1), Server("other", "127.0.0.1", 2)


class GivenPairings(PairingBench):
    """Rounds of a kind: a crowd doubles the times, and the other server takes three times as long as ours."""

    failing: tuple[str, PairingCase] | None = None

    def _attempt(self, case: PairingCase, server: Server, pairings: int) -> Round:
        if self.failing == (server.name, case):
            return {}
        ms = (2.0 if case.crowded else 1.0) * (3.0 if server is OTHER else 1.0)
        return {"pairings_per_s": 1000 / ms, "median_ms": ms, "p99_ms": 10 * ms, "cpu_us_per_pairing": ms}


def measured(*servers: Server, failing: tuple[str, PairingCase] | None = None) -> RendezvousResults:
    results = RendezvousResults()
    plan = RendezvousPlan(rounds=2, in_flight=(2,), crowds=((4, 0, 0),))
    bench = GivenPairings(plan, servers, results, StepProgress(io.StringIO()), Path("no clients"))
    bench.failing = failing
    bench.run(PAIRINGS)
    return results


def by_case(series: list[Series]) -> dict[tuple[str, int], list[Round]]:
    return {(one.labels["server"], one.labels["silent"]): one.rounds for one in series}


def test_a_crowded_round_is_compared_to_its_neighbour_without() -> None:
    found = by_case(measured(OURS).pairing)
    assert [figures["p99_to_alone"] for figures in found["ours", 4]] == [2.0, 2.0]
    assert all("p99_to_alone" not in figures for figures in found["ours", 0])


def test_servers_are_compared_case_by_case() -> None:
    results = measured(OURS, OTHER)
    for silent in (0, 4):
        rounds = by_case(results.pairing_ratios)["ours / other", silent]
        assert [round(figures["pairings_per_s"], 6) for figures in rounds] == [3.0, 3.0]
    assert not measured(OURS).pairing_ratios


def test_a_case_that_failed_at_one_server_is_not_compared() -> None:
    results = measured(OURS, OTHER, failing=("other", PairingCase(2, silent=4)))
    assert set(by_case(results.pairing)) == {("ours", 0), ("other", 0), ("ours", 4)}
    assert set(by_case(results.pairing_ratios)) == {("ours / other", 0)}


def test_a_world_of_more_ranks_than_files_is_skipped_and_said() -> None:
    results, plan = RendezvousResults(), RendezvousPlan(rounds=1, worlds=(10**9,))
    measure_group(plan, results, StepProgress(io.StringIO()))
    assert not results.group
    assert len(results.failures) == len(Shape)
    assert all("open files are limited" in failure for failure in results.failures)


def test_the_report_has_every_part() -> None:
    results = RendezvousResults(failures=["relay: it stalled"])
    assert results.to_json() == {
        "pairing": [],
        "pairing_ratios": [],
        "group": [],
        "group_ratios": [],
        "relay": [],
        "failures": ["relay: it stalled"],
    }
