import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from lambda_image.comm.connecting import racing
from lambda_image.comm.connecting.racing import Destination, first_connected, interleaved
from lambda_image.handlers.invocation import JOIN_TIMEOUT_S
from tests.unit.lambda_image.comm.black_hole import black_hole

V4, V6 = socket.AF_INET, socket.AF_INET6
DELAY_S = 0.02
LIMIT_S = 30.0  # a black hole holds a connection for two minutes


@contextlib.contextmanager
def listening(family: socket.AddressFamily = V4) -> Iterator[Destination]:
    with socket.create_server(("::1" if family == V6 else "127.0.0.1", 0), family=family) as server:
        yield Destination(family, server.getsockname())


@contextlib.contextmanager
def refusing() -> Iterator[Destination]:
    """A port that is nobody else's meanwhile."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield Destination(V4, nobody.getsockname())


def reached(*found: Destination, delay_s: float = DELAY_S) -> object:
    async def race() -> object:
        async with asyncio.timeout(LIMIT_S):
            sock, seconds = await first_connected(found, delay_s)
        with sock:
            assert seconds >= 0
            return sock.getpeername()

    return asyncio.run(race())


def test_families_take_turns_beginning_with_the_resolvers_choice() -> None:
    one, two, three = (Destination(V6, (f"::{n}", 1, 0, 0)) for n in (1, 2, 3))
    four = Destination(V4, ("127.0.0.1", 1))
    assert interleaved([one, two, three, four]) == [one, four, two, three]
    assert interleaved([four, one, one]) == [four, one]


@pytest.mark.parametrize("first", [V4, V6])
def test_an_address_that_swallows_packets_does_not_hide_the_next(first: socket.AddressFamily) -> None:
    with black_hole(first) as hole, listening() as there:
        assert reached(hole, there) == there.address


def test_several_black_holes_do_not_hide_an_address() -> None:
    with black_hole() as one, black_hole(V6) as two, black_hole() as three, listening() as there:
        assert reached(one, two, three, there) == there.address


def test_a_refusal_starts_the_next_try_at_once() -> None:
    with refusing() as one, refusing() as two, listening() as there:
        began = time.monotonic()
        assert reached(one, two, there, delay_s=LIMIT_S) == there.address
        assert time.monotonic() - began < LIMIT_S


def test_the_first_address_is_preferred_and_no_other_is_tried_where_it_answers() -> None:
    with listening(V6) as first, listening() as second:
        assert reached(first, second, delay_s=LIMIT_S) == first.address


def test_the_last_reason_is_told_where_all_fail() -> None:
    with refusing() as one, refusing() as two, pytest.raises(ConnectionRefusedError):
        reached(one, two)
    with pytest.raises(OSError, match="no address"):
        reached()


def test_what_is_cancelled_leaves_no_socket(recwarn: pytest.WarningsRecorder) -> None:
    async def race() -> None:
        async with asyncio.timeout(3 * DELAY_S):
            await first_connected([one, two], DELAY_S)

    with black_hole() as one, black_hole() as two, pytest.raises(TimeoutError):
        asyncio.run(race())
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_a_rank_comes_to_the_last_of_many_addresses_before_it_gives_up() -> None:
    assert 0.1 <= racing.DELAY_S <= 2.0  # the limits of RFC 8305, 8
    assert 8 * racing.DELAY_S < JOIN_TIMEOUT_S / 2
