from math import inf

import pytest

from rendezvous_server.waiting import Waiter, Waiters


@pytest.fixture
def waiters() -> Waiters[str, int, str]:
    return Waiters(10.0)


def test_who_waits_is_found_by_its_key(waiters: Waiters[str, int, str]) -> None:
    assert waiters.at("a") is None
    assert waiters.add("a", 1, "detail", 5.0) == 15.0
    assert waiters.at("a") == Waiter(1, "detail", 5.0)
    assert (len(waiters), waiters.connections) == (1, [1])


def test_one_that_is_forgotten_leaves_room_for_another(waiters: Waiters[str, int, str]) -> None:
    waiters.add("a", 1, "", 0.0)
    assert waiters.forget(1)
    assert not waiters.forget(1)
    assert (len(waiters), waiters.next()) == (0, inf)
    assert waiters.add("a", 2, "", 3.0) == 13.0


def test_those_whose_time_is_over_are_taken_in_the_order_of_their_coming(waiters: Waiters[str, int, str]) -> None:
    for number, key in enumerate("abc"):
        waiters.add(key, number, key, float(number))
    assert waiters.next() == 10.0
    assert waiters.take_due(9.9) == []
    assert [waiter.connection for waiter in waiters.take_due(11.0)] == [0, 1]
    assert waiters.connections == [2]
    assert not waiters.forget(0)


def test_all_are_taken_where_no_time_is_given(waiters: Waiters[str, int, str]) -> None:
    waiters.add("a", 1, "", 0.0)
    waiters.add("b", 2, "", 99.0)
    assert [waiter.connection for waiter in waiters.take_due()] == [1, 2]
    assert (len(waiters), waiters.connections) == (0, [])
