import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server.admission import ConnectionLimiter, RateLimiter, counted_address
from rendezvous_server.limits import Limit


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
    ],
)
def test_what_a_host_counts_as(host: str, address: str) -> None:
    assert counted_address(host) == address


def test_connections_are_limited_per_address_and_in_total() -> None:
    connections: ConnectionLimiter[int] = ConnectionLimiter(at_most=3, per_address=2)
    met = [connections.add(number, host) for number, host in enumerate("aaabb")]
    assert met == [None, None, Limit.CONNECTIONS_PER_ADDRESS, None, Limit.CONNECTIONS]
    connections.remove(0)
    connections.remove(2)  # was never added
    assert connections.add(5, "a") is None
    assert len(connections) == 3


def test_a_connection_whose_host_is_told_later_counts_from_then_on() -> None:
    connections: ConnectionLimiter[int] = ConnectionLimiter(at_most=3, per_address=1)
    assert [connections.add(number, None) for number in range(4)] == [None, None, None, Limit.CONNECTIONS]
    assert connections.locate(0, "a") is None
    assert connections.locate(1, "a") is Limit.CONNECTIONS_PER_ADDRESS
    for number in range(3):
        connections.remove(number)
    assert connections.add(5, "a") is None


def test_addresses_without_connections_are_forgotten() -> None:
    connections: ConnectionLimiter[int] = ConnectionLimiter(at_most=1, per_address=1)
    for number in range(100):
        assert connections.add(number, f"host {number}") is None
        assert connections.add(-1, f"refused {number}") is not None
        connections.remove(number)
    assert not connections._counts


def test_a_burst_then_a_rate() -> None:
    rate = RateLimiter(burst=2, per_second=10)
    assert [rate.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert rate.take("b", 0.0)
    assert not rate.take("a", 0.05)
    assert rate.take("a", 0.11)
    assert not rate.take("a", 0.11)


def test_full_buckets_are_forgotten() -> None:
    rate = RateLimiter(burst=2, per_second=10)
    for number in range(100):
        rate.take(f"host {number}", number / 10)
    assert len(rate) == 2
    assert [rate.take("host 99", 1_000) for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1)), max_size=60))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[str, float]]) -> None:
    rate, now, granted = RateLimiter(burst=3, per_second=5), 0.0, {"a": 0, "b": 0}
    for host, pause in steps:
        now += pause
        granted[host] += rate.take(host, now)
        assert granted[host] <= 3 + 5 * now + 1e-6
