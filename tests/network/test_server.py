"""A rendezvous server of which less can be reached than ranks want, or that goes away in the middle of a run.

That what has no channel goes by storage, and the run's result is complete, tests/integration/test_run.py shows.
"""

from contextlib import ExitStack
from dataclasses import replace

from lambda_image.comm.connecting.nat import Nat
from tests.network.cases import DIRECT, PRESERVING, PUBLIC, PUNCHED, RELAYED, SYMMETRIC
from tests.network.internet import SERVER_4, SERVER_KEY, Internet
from tests.network.rank import Assignment, Result
from tests.network.site import Site


def ranks(internet: Internet, stack: ExitStack, port: int, *sites: Site) -> list[Assignment]:
    """One at each site; they pause when they have their first channel."""
    hosts = [stack.enter_context(internet.attached(site)).hosts[0].path for site in sites]
    server, run_id = f"{SERVER_4}:{port}", f"run at {port}"
    return [
        Assignment(host, server, SERVER_KEY, run_id, rank, len(hosts), pauses_at=1) for rank, host in enumerate(hosts)
    ]


def ways(results: list[Result]) -> set[str]:
    return {way for result in results for way in result.ways.values()}


def assert_all_is_well(results: list[Result]) -> None:
    assert [(result.error, result.intact) for result in results] == [(None, True)] * len(results)


def test_without_the_probe_port_ranks_do_not_know_their_nat_and_connect_all_the_same(internet: Internet):
    with ExitStack() as stack:
        internet.serve(10_100)
        internet.silence(10_101)
        pair = internet.run(ranks(internet, stack, 10_100, PRESERVING, SYMMETRIC))
        assert [result.nat for result in pair] == [Nat.UNKNOWN] * 2
        internet.proceed()
        after = internet.results(range(2))
    assert_all_is_well(after)
    assert ways(after) == {RELAYED}


def test_channels_outlive_a_server_that_was_killed(internet: Internet):
    with ExitStack() as stack:
        server = internet.serve(10_200)
        internet.run(ranks(internet, stack, 10_200, PRESERVING, PRESERVING))
        server.kill()
        server.wait()
        internet.proceed()
        after = internet.results(range(2))
    assert_all_is_well(after)
    assert ways(after) == {PUNCHED}


def test_channels_outlive_a_server_that_nobody_can_reach(internet: Internet):
    with ExitStack() as stack:
        internet.serve(10_300)
        internet.run(ranks(internet, stack, 10_300, PUBLIC, PRESERVING))
        internet.silence(10_300)
        internet.proceed()
        after = internet.results(range(2))
    assert_all_is_well(after)
    assert ways(after) == {DIRECT}


def test_a_relayed_channel_ends_with_its_server_and_says_so(internet: Internet):
    with ExitStack() as stack:
        server = internet.serve(10_400)
        pair = internet.run(ranks(internet, stack, 10_400, SYMMETRIC, SYMMETRIC))
        assert ways(pair) == {RELAYED}
        server.kill()
        server.wait()
        internet.proceed()
        after = internet.results(range(2))
    for rank, result in enumerate(after):
        assert result.error is not None
        assert result.error.startswith("PeerClosed: "), result.error
        assert f"rank {1 - rank}" in result.error


def test_a_server_that_starts_again_introduces_those_who_come_later(internet: Internet):
    with ExitStack() as stack:
        server = internet.serve(10_500)
        first, second, late = ranks(internet, stack, 10_500, PRESERVING, PRESERVING, PRESERVING)
        internet.run([first, second])
        server.kill()
        server.wait()
        internet.serve(10_500)
        internet.begin(replace(late, pauses_at=0))
        internet.proceed()
        after = internet.results(range(3))
    assert_all_is_well(after)
    assert ways(after) == {PUNCHED}
