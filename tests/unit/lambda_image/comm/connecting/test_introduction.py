"""Handshakes over real sockets, both ends in one event loop."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import pytest

from lambda_image.comm.channel.handshake import NONCE_BYTES, PROBE, Handshake, HandshakeRefused, Member, Session
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.introduction import Abandoned, Credentials, introduce, leaves_host

KEY = os.urandom(32)
LOWER, HIGHER = Member(0, 0), Member(1, 0)
PATIENCE_S = 30.0  # only a hanging test takes so long


async def always(_: Handshake) -> bool:
    return True


class End:
    """One side of a connection: `dials` or was dialled."""

    def __init__(self, sock: socket.socket, own: Member, *, dials: bool, key: bytes = KEY, probe: bool = True) -> None:
        sock.setblocking(False)
        self.sock = sock
        to = LOWER if own is HIGHER else HIGHER
        self.handshake = Handshake(
            key, own, way=(Transport.PUNCHED, to) if dials else None, encrypted=True, probe=probe, nonce=os.urandom(32)
        )

    async def introduce(
        self, chosen: Callable[[Handshake], Awaitable[bool]] = always, early: bytes = b"", limit_s: float = PATIENCE_S
    ) -> Session:
        return await introduce(self.sock, self.handshake, chosen, early=early, limit_s=limit_s)

    @property
    def is_closed(self) -> bool:
        return self.sock.fileno() < 0


Ends = tuple[End, End]  # the lower rank's and the higher one's


def ends(dials: str, **options: bytes | bool) -> Ends:
    one, other = socket.socketpair()
    lower = End(one, LOWER, dials=dials != "higher", probe=bool(options.pop("probe", True)))
    return lower, End(other, HIGHER, dials=dials != "lower", **options)  # type: ignore[arg-type]


def close(*both: End) -> None:
    for end in both:
        end.sock.close()


async def outcomes(*introductions: Awaitable[Session]) -> list[Session | BaseException]:
    return await asyncio.gather(*introductions, return_exceptions=True)


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("dials", ["lower", "higher", "both"])
def test_both_ends_agree_and_nothing_is_left_on_the_socket(dials: str, probe: bool) -> None:
    async def scenario() -> None:
        lower, higher = ends(dials, probe=probe)
        sessions = await asyncio.gather(lower.introduce(), higher.introduce())
        assert [session.peer for session in sessions] == [HIGHER, LOWER]
        for end in (lower, higher):
            with pytest.raises(BlockingIOError):
                end.sock.recv(1)
        close(lower, higher)

    asyncio.run(scenario())


def test_bytes_behind_the_handshake_stay_on_the_socket() -> None:
    async def scenario() -> None:
        lower, higher = ends("higher")

        async def speak_at_once() -> None:
            await higher.introduce()
            higher.sock.send(b"first frame")

        await asyncio.gather(lower.introduce(), speak_at_once())
        assert lower.sock.recv(100) == b"first frame"
        close(lower, higher)

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [1, 20, 1000])
def test_bytes_that_came_before_count(count: int) -> None:
    """As behind a relay, where the peer's first bytes may come together with the server's last ones."""

    async def scenario() -> None:
        lower, higher = ends("both")
        other = asyncio.create_task(higher.introduce())
        await asyncio.sleep(0)  # now it has greeted
        early = lower.sock.recv(count)
        await asyncio.gather(lower.introduce(early=early), other)
        close(lower, higher)

    asyncio.run(scenario())


@pytest.mark.parametrize("dials", ["lower", "higher", "both"])
@pytest.mark.parametrize("asked", [1, 2])
def test_the_higher_rank_may_let_go_before_the_probe_or_before_the_nomination(asked: int, dials: str) -> None:
    async def scenario() -> None:
        lower, higher = ends(dials)
        questions = 0

        async def chosen(_: Handshake) -> bool:
            nonlocal questions
            questions += 1
            return questions < asked

        results = await outcomes(lower.introduce(), higher.introduce(chosen))
        assert [type(result) for result in results] == [Abandoned, Abandoned]
        assert (lower.handshake.proven, questions) == (asked == 2, asked)
        assert lower.is_closed
        assert higher.is_closed

    asyncio.run(scenario())


def test_the_lower_rank_is_asked_nothing() -> None:
    async def never(_: Handshake) -> bool:
        raise AssertionError

    async def scenario() -> None:
        lower, higher = ends("both")
        await asyncio.gather(lower.introduce(never), higher.introduce())
        close(lower, higher)

    asyncio.run(scenario())


@pytest.mark.parametrize("dials", ["lower", "higher", "both"])
def test_who_does_not_hold_the_key_is_refused(dials: str) -> None:
    async def scenario() -> None:
        lower, higher = ends(dials, key=bytes(32))
        refused, other = await outcomes(lower.introduce(), higher.introduce())
        assert isinstance(other, HandshakeRefused)
        assert "does not hold this run's key" in str(other)
        assert isinstance(refused, Abandoned)  # as far as it can tell
        assert lower.is_closed
        assert higher.is_closed

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: text/html, */*\r\n\r\n", b"short", b""]
)
def test_strangers_are_refused_and_their_socket_closed(garbage: bytes) -> None:
    async def scenario() -> None:
        one, stranger = socket.socketpair()
        end = End(one, LOWER, dials=False)
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        with pytest.raises(HandshakeRefused) as caught:
            await end.introduce()
        assert not isinstance(caught.value, Abandoned)
        assert end.is_closed
        stranger.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("dials", [True, False])
def test_silence_ends_at_the_limit(dials: bool) -> None:
    async def scenario() -> None:
        one, silent = socket.socketpair()
        end = End(one, LOWER, dials=dials)
        with pytest.raises(TimeoutError):
            await end.introduce(limit_s=0.01)
        assert end.is_closed
        silent.close()

    asyncio.run(scenario())


def test_a_path_that_stalls_after_20_kb_never_gets_a_nomination() -> None:
    async def scenario() -> None:
        (one, near), (far, other) = socket.socketpair(), socket.socketpair()
        lower, higher = End(one, LOWER, dials=False), End(other, HIGHER, dials=True)
        both = asyncio.gather(lower.introduce(), higher.introduce())
        back = asyncio.create_task(carry(near, far, 20_000))
        await carry(far, near, 20_000)
        while not lower.handshake.proven:  # noqa: ASYNC110 - one turn of the loop or two
            await asyncio.sleep(0)
        assert higher.handshake.proven
        assert not both.done()
        for task in (both, back):
            task.cancel()
        await asyncio.gather(both, back, return_exceptions=True)
        assert lower.handshake.session is higher.handshake.session is None
        near.close()
        far.close()

    asyncio.run(scenario())


async def carry(source: socket.socket, sink: socket.socket, limit: int) -> None:
    """Passes so many bytes, then none."""
    loop = asyncio.get_running_loop()
    source.setblocking(False)
    while limit and (data := await loop.sock_recv(source, limit)):
        limit -= len(data)
        await loop.sock_sendall(sink, data)


def test_an_introduction_that_is_cancelled_closes_its_socket_in_order() -> None:
    async def scenario() -> None:
        one, other = socket.socketpair()
        end = End(one, LOWER, dials=True)
        task = asyncio.create_task(end.introduce())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert end.is_closed
        assert len(other.recv(1000)) == end.handshake.wanted  # the greeting
        assert other.recv(1000) == b""
        other.close()

    asyncio.run(scenario())


def test_whether_a_connection_leaves_the_host() -> None:
    with socket.create_server(("", 0)) as listener:
        for source, leaves in (("127.0.0.1", False), ("127.0.0.2", True)):
            with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), source_address=(source, 0)) as sock:
                accepted, _ = listener.accept()
                assert leaves_host(sock) is leaves_host(accepted) is leaves
                accepted.close()
    assert leaves_host(sock)  # closed: no telling where it was


def test_credentials_make_handshakes_with_fresh_nonces_of_one_process() -> None:
    credentials = Credentials(LOWER, KEY, encrypted=True)
    one, other = (credentials.handshake((Transport.DIRECT, HIGHER)).greet() for _ in range(2))
    assert one[:-NONCE_BYTES] == other[:-NONCE_BYTES]
    assert one[-NONCE_BYTES:] != other[-NONCE_BYTES:]
    again = Credentials(LOWER, KEY, encrypted=True).handshake((Transport.DIRECT, HIGHER)).greet()
    assert again[:-NONCE_BYTES] != one[:-NONCE_BYTES]


def test_the_probe_is_longer_than_what_stalling_sockets_let_through() -> None:
    assert len(PROBE) == 64 * 1024


def test_who_speaks_another_version_learns_which_one_is_spoken_here() -> None:
    async def scenario() -> bytes:
        lower, higher = ends("higher")
        greeting = higher.handshake.greet()
        higher.sock.send(b"CAI9" + greeting[4:])
        with pytest.raises(HandshakeRefused, match="speaks version '9' of this protocol"):
            await lower.introduce()
        answer = higher.sock.recv(1 << 12)
        close(lower, higher)
        return answer

    assert asyncio.run(scenario()).startswith(b"CAI5")
