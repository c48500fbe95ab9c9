"""What happens behind the caller's back: one thread joins the rendezvous, keeps the roster as it is told, and has peers
accepted and dialled (peering.py). A connection to the rendezvous that breaks is made anew; channels do not need it.
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.connecting.candidates import OwnEndpoints, candidates
from lambda_image.comm.connecting.membership import DialSource, Membership
from lambda_image.comm.connecting.nat import Nat
from lambda_image.comm.connecting.peering import Peering, Plan
from lambda_image.comm.connecting.rendezvous import FIRST_RETRY_S, LONGEST_RETRY_S, RendezvousConnection
from lambda_image.comm.roster import Roster
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable, RunError
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

REJOIN_LIMIT_S = 60.0  # for one try to join again; others follow
FIRST_REJOIN_S, LONGEST_REJOIN_S = 0.5, 10.0  # before each, in the mean: a restarted server has all ranks at its door
STOP_LIMIT_S = 5.0  # until a thread that does not stop (a name lookup that hangs) is left to die with the process
MAX_LISTED = 20  # ranks named in an error
Joined = tuple[RendezvousConnection, socket.socket, DialSource]  # the socket is the listener
GONE = "is not in the group any more: it left, or its process ended"


class Connector:
    """`start` and `stop` from the caller's thread; everything else happens in its own."""

    def __init__(
        self,
        membership: Membership,
        roster: Roster,
        plan: Plan = candidates,
        *,
        first_rejoin_s: float = FIRST_REJOIN_S,
    ) -> None:
        self._membership = membership
        self._first_rejoin_s = first_rejoin_s
        self._roster = roster
        self._own = Member(membership.join.rank, membership.join.attempt)
        self._peering = Peering(membership, roster, plan)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"connector of {self._own}", daemon=True)
        self.own: OwnEndpoints | None = None  # once joined
        self.join_s: float | None = None  # what that took

    @property
    def rejected_connections(self) -> int:
        """Strangers, and peers that did not hold the key or wanted somebody else."""
        return self._peering.rejected

    @property
    def local(self) -> tuple[Endpoint, ...]:
        """As announced; empty before the join."""
        return self.own.local if self.own else ()

    @property
    def nat(self) -> Nat:
        return self.own.nat if self.own else Nat.UNKNOWN

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
        began = time.monotonic()
        try:
            connection, listener, source = await self._join(self._membership.deadline)
        except RunError as error:
            self._roster.fail(error)
            return
        self.join_s = time.monotonic() - began
        async with asyncio.TaskGroup() as tasks:
            while True:
                accepting = tasks.create_task(self._peering.accept(listener, tasks))
                try:
                    joined = await self._serve(connection, source, tasks)
                finally:
                    accepting.cancel()
                    listener.close()
                    await connection.leave()
                connection, listener, source = joined
                self._roster.recovered()

    async def _serve(self, connection: RendezvousConnection, source: DialSource, tasks: asyncio.TaskGroup) -> Joined:
        """Until there is a new connection. If there will be none, for ever: peers that are known may still connect."""
        joined = await self._rejoin() if await self._follow(connection, source, tasks) else None
        while joined is None:
            await asyncio.Event().wait()
        return joined

    async def _join(self, deadline: float) -> Joined:
        """A member's connection to the server, and the socket that peers are told to dial. A full server is retried."""
        membership, pause = self._membership, FIRST_RETRY_S
        max_segment = membership.settings.max_segment
        while True:
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
                    if not error.details["retry_later"] or time.monotonic() + pause >= deadline:
                        raise
                else:
                    self.own = OwnEndpoints(join.local, joined.observed, connection.nat)
                    on_failure.pop_all()
                    return connection, listener, DialSource(self.own, port, connection.server, connection.rtt_s)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_S)

    async def _rejoin(self) -> Joined | None:
        """Join once more, as after a restart of the server; None if it takes this rank no more.

        Where only the connection broke, the server goes on seeing a duplicate until it has missed this rank's pings.
        """
        pause = self._first_rejoin_s
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_REJOIN_S)
            try:
                return await self._join(time.monotonic() + REJOIN_LIMIT_S)
            except RendezvousRejected as error:
                code = error.details["code"]
                if not error.details["retry_later"] and code != RejectCode.DUPLICATE_RANK.name:
                    self._roster.fail(error, dismissed=code == RejectCode.STALE_ATTEMPT.name)
                    return None
            except RunError:
                pass  # the roster has the reason why there is no connection

    async def _follow(self, connection: RendezvousConnection, source: DialSource, tasks: asyncio.TaskGroup) -> bool:
        """Keep the roster as the server tells. Channels and dials go on when it ends. True if a new
        connection may bring more news.
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
                case _ if (error := _failure(event, self._own)) is not None:
                    again = isinstance(event, ServerClosing | ConnectionLost)
                    self._roster.fail(error, dismissed=isinstance(event, Replaced))
        connection.close()
        return again


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
