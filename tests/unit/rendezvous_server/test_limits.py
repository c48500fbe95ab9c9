from dataclasses import asdict, replace

import pytest

from rendezvous_server.limits import Limit, Limits
from rendezvous_server.protocol import MAX_WORLD_SIZE

LIMITS = Limits()


def test_the_largest_group_can_follow_another_one() -> None:
    assert LIMITS.max_connections >= 2 * MAX_WORLD_SIZE
    assert MAX_WORLD_SIZE < LIMITS.max_connections_per_address < LIMITS.max_connections
    assert LIMITS.join_burst >= 2 * MAX_WORLD_SIZE


def test_a_member_is_pinged_several_times_before_it_is_given_up() -> None:
    assert 3 * LIMITS.ping_interval_s < LIMITS.ping_timeout_s


def test_no_wait_is_longer_than_what_it_waits_for_allows() -> None:
    assert LIMITS.handshake_timeout_s < LIMITS.relay_timeout_s < LIMITS.group_timeout_s
    assert LIMITS.close_timeout_s <= LIMITS.shutdown_grace_s < 10  # after which `docker stop` kills
    assert LIMITS.relay_idle_timeout_s > 900  # a Lambda's whole life
    assert LIMITS.pairing_timeout_s >= 900


def test_limits_do_not_change_once_they_are_set() -> None:
    with pytest.raises(AttributeError):
        LIMITS.max_groups = 1  # type: ignore[misc]
    assert asdict(replace(LIMITS, max_groups=1)) == asdict(LIMITS) | {"max_groups": 1}


def test_what_a_client_has_met_is_called_as_the_limit_is() -> None:
    named = {name.removeprefix("max_") for name in asdict(LIMITS)} | {"joins", "relay_bytes"}
    assert {str(limit) for limit in Limit} <= named
