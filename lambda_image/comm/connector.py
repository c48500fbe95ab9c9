"""What happens behind the caller's back: one thread joins the rendezvous, accepts and dials peers, keeps the roster.

Of a pair of ranks the higher one dials, so that there is one channel per pair. (A punched pair will dial from both
sides; who opens the handshake, and so which connection wins, stays the same.)
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lambda_image.comm.candidates import Candidate, candidates
from lambda_image.comm.channel import Channel, ChannelSettings
from lambda_image.comm.dialing import Abandoned, Connected, Credentials, listen, race, welcome
from lambda_image.comm.handshake import HandshakeRefused, Member
from lambda_image.comm.nat import Nat
from lambda_image.comm.rendezvous import FIRST_RETRY_S, LONGEST_RETRY_S, RendezvousLine
from lambda_image.comm.roster import DIAL_LIMIT_S, Roster
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable, RunError
from rendezvous_server.protocol import (
    ClientEvent,
    ConnectionLost,
    Endpoint,
    Expired,
    Join,
    Peer,
    PeerJoined,
    PeerLeft,
    PeerReplaced,
    Rejected,
    Replaced,
    ServerClosing,
)

HANDSHAKE_LIMIT_S = 5.0  # for three small messages: several retransmissions fit
MAX_UNPROVEN = (
    128  # connections in the handshake at once: an eighth of a Lambda's descriptors, strangers' share included
)
MAX_DIALS = 64  # peers dialled at once, for the same reason
ACCEPT_PAUSE_S = 0.1  # after accept has failed for want of descriptors
STOP_LIMIT_S = 5.0  # until a thread that does not stop (a name lookup that hangs) is left to die with the process
MAX_LISTED = 20  # ranks named in an error
GONE = "is not in the group any more: it left, or its process ended"


@dataclass(frozen=True, slots=True)
class Membership:
    """Everything a rank needs in order to join."""

    endpoint: str
    join: Join  # without local endpoints: those are known once there is a way to the server
    run_key: bytes
    rendezvous_key: bytes | None
    deadline: float  # monotonic seconds, for the join
    settings: ChannelSettings
    dial_limit_s: float = DIAL_LIMIT_S


class Connector:
    """`start` and `stop` from the caller's thread; everything else happens in its own."""

    def __init__(self, membership: Membership, roster: Roster) -> None:
        self._membership = membership
        self._roster = roster
        self._own = Member(membership.join.rank, membership.join.attempt)
        self._credentials = Credentials(self._own, membership.run_key, membership.settings.tags)
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._unproven = asyncio.Semaphore(MAX_UNPROVEN)
        self._dialling = asyncio.Semaphore(MAX_DIALS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"connector of {self._own}", daemon=True)
        self.rejected_connections = 0  # strangers, and peers that did not hold the key or wanted somebody else
        self.local: tuple[Endpoint, ...] = ()  # as announced
        self.observed: Endpoint | None = None  # as the server sees this rank
        self.nat = Nat.UNKNOWN
        self.joined_at: float | None = None  # monotonic seconds

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Leave the group, and free every socket that is not a channel."""
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(STOP_LIMIT_S)

    def _main(self) -> None:
        try:
            asyncio.run(self._work())
        except asyncio.CancelledError:
            pass  # stopped
        except BaseException as error:
            self._roster.fail(RendezvousUnreachable(f"{self._own}: its connector broke down: {error!r}"))
            raise
        finally:
            self._started.set()

    async def _work(self) -> None:
        """Join, then serve until cancelled. A join that fails is left in the roster for whoever waits."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        try:
            line, listener = await self._join()
        except RunError as error:
            self._roster.fail(error)
            return
        try:
            self.joined_at = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._accept(listener, tasks))
                tasks.create_task(self._follow(line, tasks))
        finally:
            listener.close()
            await line.leave()

    async def _join(self) -> tuple[RendezvousLine, socket.socket]:
        """A line to the server as a member, and the listening socket that peers learn of. A full server is retried."""
        membership, pause = self._membership, FIRST_RETRY_S
        while True:
            line = await RendezvousLine.connect(membership.endpoint, membership.deadline)
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(line.close)
                listener = listen(line.local_host)
                on_failure.callback(listener.close)
                self.local = (Endpoint(line.local_host, listener.getsockname()[1]),)
                join = replace(membership.join, local=self.local)
                try:
                    self.observed = (await line.join(join, membership.rendezvous_key, membership.deadline)).observed
                    self.nat = line.nat
                    on_failure.pop_all()
                    return line, listener
                except RendezvousRejected as error:
                    if not error.details["retry_later"] or time.monotonic() + pause >= membership.deadline:
                        raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_S)

    async def _follow(self, line: RendezvousLine, tasks: asyncio.TaskGroup) -> None:
        """Keep the roster as the server tells. When it ends, so do the news, but neither channels nor dials."""
        async for event in line.events():
            match event:
                case PeerJoined(peer) | PeerReplaced(_, peer):
                    unconnected = self._roster.joined(Member(peer.rank, peer.attempt), time.monotonic())
                    self._stop_dialling(peer)
                    if unconnected and peer.rank < self._own.rank:
                        self._dials[peer.rank] = tasks.create_task(self._dial(peer))
                case PeerLeft(peer):
                    self._roster.left(Member(peer.rank, peer.attempt), GONE, time.monotonic())
                    self._stop_dialling(peer)
                case _ if (error := _failure(event, self._own)) is not None:
                    self._roster.fail(error, dismissed=isinstance(event, Replaced))
        line.close()

    def _stop_dialling(self, peer: Peer) -> None:
        if (dial := self._dials.pop(peer.rank, None)) is not None:
            dial.cancel()

    async def _accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._unproven.acquire()
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError:
                self._unproven.release()
                await asyncio.sleep(ACCEPT_PAUSE_S)
            else:
                tasks.create_task(self._welcome(sock)).add_done_callback(lambda _: self._unproven.release())

    async def _welcome(self, sock: socket.socket) -> None:
        """Let a peer prove itself; anybody else is turned away and counted."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT_S):
                connected = await welcome(sock, self._credentials)
        except Abandoned:
            pass
        except (HandshakeRefused, OSError):  # TimeoutError is one
            self.rejected_connections += 1
        else:
            known = self._roster.at(connected.session.peer.rank)
            self._admit(connected, known.joined_at if known else began)

    async def _dial(self, peer: Peer) -> None:
        """Try every way until one leads to the peer; after `dial_limit_s` it counts as unreachable."""
        member, began, pause = Member(peer.rank, peer.attempt), time.monotonic(), FIRST_RETRY_S
        plan = candidates(self.local, peer)
        if not plan:
            self._roster.unreachable(member, "announced no address that means anything to this host")
            return
        limit_s, failures = self._membership.dial_limit_s, dict[Candidate, str]()
        try:
            async with self._dialling, asyncio.timeout(limit_s):
                while (connected := await race(plan, member, self._credentials, failures)) is None:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_RETRY_S)
        except TimeoutError:
            ways = "; ".join(f"{way}: {failures.get(way, 'no answer')}" for way in plan)
            self._roster.unreachable(member, f"could not be reached within {limit_s:.0f} s ({ways})")
        else:
            self._admit(connected, began)

    def _admit(self, connected: Connected, began: float) -> None:
        now = time.monotonic()
        channel = Channel(
            connected.sock,
            connected.session,
            self._own,
            transport=connected.transport,
            connect_s=now - began,
            settings=self._membership.settings,
        )
        if channel.peer.rank >= self._membership.join.world_size or not self._roster.connected(channel, now):
            channel.close()  # it holds the key, but is of another world or has been replaced
            self.rejected_connections += 1


def _failure(event: ClientEvent, own: Member) -> RunError | None:
    """Why no news will come any more, if the event says so."""
    about = {"rank": own.rank, "reason": getattr(event, "reason", "")}
    match event:
        case Expired(missing, reason):
            text = f"{own}: the group was not complete in time, {_listed(missing)} missing: {reason}"
            return RendezvousTimeout(text, **about, missing=missing)
        case Replaced(attempt, _):
            return RendezvousRejected(f"{own}: attempt {attempt} of this rank has taken its place", **about)
        case Rejected(_, reason):
            return RendezvousRejected(f"{own}: the rendezvous server ended the membership: {reason}", **about)
        case ServerClosing(reason):
            return RendezvousUnreachable(f"{own}: the rendezvous server has shut down: {reason}", **about)
        case ConnectionLost():
            return RendezvousUnreachable(f"{own}: the connection to the rendezvous server was lost", **about)
        case _:
            return None


def _listed(ranks: Sequence[int]) -> str:
    names = ", ".join(map(str, ranks[:MAX_LISTED]))
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {names}{', ...' if len(ranks) > MAX_LISTED else ''}"
