"""The background thread of a communicator: it joins the rendezvous, keeps the roster as the server tells, and has peers
accepted and dialled (peering.py). A connection to the rendezvous that breaks is made anew; channels do not need it.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lambda_image.comm.channel import cipher
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.connecting.backoff import Backoff
from lambda_image.comm.connecting.candidates import OwnEndpoints, candidates
from lambda_image.comm.connecting.membership import DialSource, Membership
from lambda_image.comm.connecting.nat import Nat
from lambda_image.comm.connecting.peering import Peering, Plan
from lambda_image.comm.connecting.rendezvous import RendezvousConnection
from lambda_image.comm.roster import Roster
from lambda_image.errors import RendezvousError, RendezvousRejected, RendezvousTimeout, RendezvousUnreachable
from rendezvous_server.protocol import (
    ClientEvent,
    ConnectionLost,
    Endpoint,
    Expired,
    PeerJoined,
    PeerLeft,
    PeerReplaced,
    RejectCode,
    Rejected,
    Replaced,
    ServerClosing,
)

JOIN_BACKOFF = Backoff(first_s=0.1, longest_s=2.0)  # while the server is full
REJOIN_LIMIT_S = 60.0  # for one try to join again; others follow
REJOIN_BACKOFF = Backoff(first_s=0.5, longest_s=10.0, jitter=(0.5, 1.5))  # a restarted server has all ranks at its door
STOP_LIMIT_S = 5.0  # until a thread that does not stop (a name lookup that hangs) is left to die with the process
MAX_LISTED = 20  # ranks named in an error
GONE = "is not in the group any more: it left, or its process ended"
JoinResult = tuple[RendezvousConnection, socket.socket, DialSource]  # the socket is the one that peers dial


class Connector:
    """Keeps one rank in its group, and the roster up to date, in a thread of its own.

    The caller's thread calls `start` and `stop`, and may read the properties at any time.
    """

    def __init__(
        self,
        membership: Membership,
        roster: Roster,
        plan: Plan = candidates,
        *,
        rejoin_backoff: Backoff = REJOIN_BACKOFF,
    ) -> None:
        self._membership = membership
        self._rejoin_backoff = rejoin_backoff
        self._roster = roster
        self._own = Member(membership.name(membership.join.rank), membership.join.attempt)  # as texts have it
        self._peering = Peering(membership, roster, plan)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"connector of {self._own}", daemon=True)
        self.own: OwnEndpoints | None = None  # once joined
        self.join_s: float | None = None  # what that took

    @property
    def rejected_connections(self) -> int:
        """How many connections came from strangers, or from peers that did not hold the key or wanted another rank."""
        return self._peering.rejected

    @property
    def local(self) -> tuple[Endpoint, ...]:
        """The endpoints that peers are told to dial; none before the join."""
        return self.own.local if self.own else ()

    @property
    def nat(self) -> Nat:
        return self.own.nat if self.own else Nat.UNKNOWN

    def start(self) -> None:
        """Start the thread; returns as soon as `stop` can end it again."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Leave the group, and free every socket that is not a channel. Waits for the thread, but not for ever."""
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
        """Join, then serve until cancelled. The roster keeps the error of a join that fails, for whoever waits."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        if self._membership.settings.encrypted:
            self._loop.call_soon(cipher.load)  # once the join below has begun to wait for the network
        began = time.monotonic()
        try:
            connection, listener, source = await self._join(self._membership.deadline)
        except RendezvousError as error:
            self._roster.fail(error)
            return
        self.join_s = time.monotonic() - began
        async with asyncio.TaskGroup() as tasks:
            while True:
                accepting = tasks.create_task(self._peering.accept(listener, tasks))
                try:
                    result = await self._serve(connection, source, tasks)
                finally:
                    accepting.cancel()
                    listener.close()
                    await connection.leave()
                connection, listener, source = result
                self._roster.recovered()

    async def _serve(
        self, connection: RendezvousConnection, source: DialSource, tasks: asyncio.TaskGroup
    ) -> JoinResult:
        """Follow the news until the connection ends, then make a new one.

        Does not return where none can be made, since peers that are known may still connect.
        """
        result = await self._rejoin() if await self._follow(connection, source, tasks) else None
        while result is None:
            await asyncio.Event().wait()
        return result

    async def _join(self, deadline: float) -> JoinResult:
        """Connect and become a member. A full server is asked again until `deadline`. Raises RendezvousError."""
        membership, tried = self._membership, 0
        max_segment = membership.settings.max_segment
        while True:
            tried += 1
            pause = JOIN_BACKOFF.pause_s(tried)
            connection = await RendezvousConnection.connect(membership.endpoint, deadline)
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(connection.close)
                port = connection.local_port(max_segment)
                listener = port.listen()
                on_failure.callback(listener.close)
                join = replace(membership.join, local=(connection.local,))
                try:
                    joined = await connection.join(join, membership.rendezvous_key, deadline)
                except RendezvousRejected as error:
                    if not error.retry_later or time.monotonic() + pause >= deadline:
                        raise
                else:
                    self.own = OwnEndpoints(join.local, joined.observed, connection.nat)
                    on_failure.pop_all()
                    return connection, listener, DialSource(self.own, port, connection.server, connection.rtt_s)
            await asyncio.sleep(pause)

    async def _rejoin(self) -> JoinResult | None:
        """Join once more, as after a restart of the server; None if it takes this rank no more.

        Where only the connection broke, the server goes on seeing a duplicate until it has missed this rank's pings.
        """
        tried = 0
        while True:
            tried += 1
            await asyncio.sleep(self._rejoin_backoff.pause_s(tried))
            try:
                return await self._join(time.monotonic() + REJOIN_LIMIT_S)
            except RendezvousRejected as error:
                if not error.retry_later and error.code != RejectCode.DUPLICATE_RANK.name:
                    self._roster.fail(error, dismissed=error.code == RejectCode.STALE_ATTEMPT.name)
                    return None
            except RendezvousError:
                pass  # the roster has the reason why there is no connection

    async def _follow(self, connection: RendezvousConnection, source: DialSource, tasks: asyncio.TaskGroup) -> bool:
        """Keep the roster as the server tells, until it tells no more. Channels and dials go on after that.

        Returns whether a new connection may bring more news.
        """
        again = False
        async for event in connection.events():
            match event:
                case PeerJoined(peer) | PeerReplaced(_, peer):
                    member = Member(peer.rank, peer.attempt)
                    # A channel may seem to work whose process has ended, if nobody has used it since.
                    if self._roster.joined(member, time.monotonic()) or not self._peering.is_linked(member):
                        self._peering.reach(peer, source, tasks)
                    else:
                        self._peering.give_up(peer.rank)
                case PeerLeft(peer):
                    self._roster.left(Member(peer.rank, peer.attempt), GONE, time.monotonic())
                    self._peering.give_up(peer.rank)
                case _ if (error := self._failure(event)) is not None:
                    again = isinstance(event, ServerClosing | ConnectionLost)
                    self._roster.fail(error, dismissed=isinstance(event, Replaced))
        connection.close()
        return again

    def _failure(self, event: ClientEvent) -> RendezvousError | None:
        return _failure(event, self._own, self._membership.endpoint, self._membership.name)


def _failure(
    event: ClientEvent, own: Member, endpoint: str, name: Callable[[int], int] = int
) -> RendezvousError | None:
    """Why no news will come any more, if the event says so."""
    rank = own.rank
    match event:
        case Expired(missing, reason):
            text = f"{own}: the group was not complete in time, {_listed([*map(name, missing)])} missing: {reason}"
            return RendezvousTimeout(text, rank=rank, endpoint=endpoint, reason=reason, missing=missing)
        case Replaced(attempt, _):
            reason = f"attempt {attempt} of this rank has taken its place"
            return RendezvousRejected(f"{own}: {reason}", rank=rank, endpoint=endpoint, reason=reason)
        case Rejected(code, reason):
            return RendezvousRejected(
                f"{own}: the rendezvous server ended the membership: {reason}",
                rank=rank,
                endpoint=endpoint,
                reason=reason,
                code=code.name,
                retry_later=code.transient,
            )
        case ServerClosing(reason):
            text = f"{own}: the rendezvous server has shut down: {reason}"
            return RendezvousUnreachable(text, rank=rank, endpoint=endpoint, reason=reason)
        case ConnectionLost():
            reason = "the connection to the rendezvous server was lost"
            return RendezvousUnreachable(f"{own}: {reason}", rank=rank, endpoint=endpoint, reason=reason)
        case _:
            return None


def _listed(ranks: Sequence[int]) -> str:
    names = ", ".join(map(str, ranks[:MAX_LISTED]))
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {names}{', ...' if len(ranks) > MAX_LISTED else ''}"
