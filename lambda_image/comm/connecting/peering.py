"""Makes one channel to each peer. It accepts, dials every candidate of the plan, and at one end of each pair chooses.

The higher rank of a pair takes the first connection that has passed the probe, and no other while that one lives; the
lower rank takes what it nominates. A way by which they are connected ends all others at both ends.
"""

import asyncio
import errno
import itertools
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.handshake import Handshake, HandshakeRefused, Member, Session
from lambda_image.comm.channel.transport import WAYS, Transport
from lambda_image.comm.connecting.backoff import Backoff
from lambda_image.comm.connecting.candidates import Candidate, OwnEndpoints, candidates
from lambda_image.comm.connecting.dialing import dial, pause_s
from lambda_image.comm.connecting.introduction import Abandoned, Credentials, introduce, leaves_host
from lambda_image.comm.connecting.membership import DialSource, Membership
from lambda_image.comm.connecting.relaying import relay
from lambda_image.comm.connecting.sockets import NO_DESCRIPTORS, reason_of, shortage
from lambda_image.comm.roster import Roster
from lambda_image.process import most_descriptors
from rendezvous_server.protocol import Peer, Relay

# Connections in the handshake at once: an eighth of a Lambda's descriptors, strangers' share included.
MAX_UNPROVEN = 128
MAX_DIALS = 96  # peers dialled at once, each along up to three ways, for the same reason
ACCEPT_PAUSE_S = 0.1  # after accept has failed for want of descriptors
KEPT_FREE = 32  # descriptors for S3, files and the server: without these a rank with many peers could not end well
BACKOFF = Backoff(first_s=0.1, longest_s=2.0)  # of a candidate that led somewhere but not to a channel
# How long a relay that is ready waits for a better way that has got as far as the handshake to complete its probe. Ten
# round trips across an ocean fit. A pair whose better path stalls loses so much.
BETTER_LIMIT_S, BETTER_POLL_S = 1.0, 0.02
Plan = Callable[[int, OwnEndpoints, Peer], list[Candidate]]
_HUNG_UP = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)


@dataclass(frozen=True, slots=True)
class _Link:
    """The connection of a channel, and whose it is."""

    peer: Member
    process: bytes
    sock: socket.socket

    @property
    def is_broken(self) -> bool:
        """Whether the peer, the kernel or this side has closed it."""
        if (descriptor := self.sock.fileno()) < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, _HUNG_UP)
        return bool(poll.poll(0))


class Peering:
    """Connects one rank to its peers, on the connector's loop. Only `rejected` is read from elsewhere."""

    def __init__(self, membership: Membership, roster: Roster, plan: Plan = candidates) -> None:
        join = membership.join
        self._plan = plan
        self._membership = membership
        self._roster = roster
        self._own = Member(join.rank, join.attempt)
        self._credentials = Credentials(self._own, membership.run_key, membership.settings.encrypted)
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._talks: set[Handshake] = set()  # that go on
        self._links: dict[int, _Link] = {}
        self._unproven = asyncio.Semaphore(MAX_UNPROVEN)
        self._dialling = asyncio.Semaphore(MAX_DIALS)
        self._allowed = most_descriptors()
        self.rejected = 0  # strangers, and peers that did not hold the key or wanted somebody else

    def reach(self, peer: Peer, source: DialSource, tasks: asyncio.TaskGroup) -> None:
        """Begin to dial a peer, if the plan has this rank dial it. An earlier dial to the same rank ends."""
        self.give_up(peer.rank)
        if plan := self._plan(self._own.rank, source.own, peer):
            self._dials[peer.rank] = tasks.create_task(self._dial(peer, plan, source))

    def is_linked(self, peer: Member) -> bool:
        """Whether there is a connection to it that neither end has closed."""
        link = self._links.get(peer.rank)
        return link is not None and link.peer == peer and not link.is_broken

    def give_up(self, rank: int) -> None:
        if (task := self._dials.pop(rank, None)) is not None and task is not asyncio.current_task():
            task.cancel()

    async def accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._unproven.acquire()
            try:
                sock, _ = await loop.sock_accept(listener)
                self._keep_room(sock)
            except OSError as error:
                self._unproven.release()
                if error.errno in NO_DESCRIPTORS:
                    self._roster.cramp(shortage(self._allowed))
                await asyncio.sleep(ACCEPT_PAUSE_S)
            except BaseException:
                self._unproven.release()
                raise
            else:
                tasks.create_task(self._welcome(sock)).add_done_callback(lambda _: self._unproven.release())

    def _keep_room(self, sock: socket.socket) -> None:
        """Descriptors are given out from the lowest, so that this one's number tells how many are taken."""
        if sock.fileno() >= self._allowed - min(KEPT_FREE, self._allowed // 4):
            sock.close()
            raise OSError(errno.EMFILE, "no descriptor is left for connections")

    async def _welcome(self, sock: socket.socket) -> None:
        """Let a peer prove itself. Anybody else is turned away and counted."""
        began, handshake = time.monotonic(), self._credentials.handshake(probe=leaves_host(sock))
        try:
            await self._introduce(sock, handshake, b"", began)
        except Abandoned:
            pass
        except (HandshakeRefused, OSError):
            self.rejected += not handshake.proven

    async def _dial(self, peer: Peer, plan: list[Candidate], source: DialSource) -> None:
        """Try every candidate until one leads to the peer. After `dial_limit_s` the peer counts as unreachable."""
        began, limit_s, failures = time.monotonic(), self._membership.dial_limit_s, dict[Candidate, str]()
        try:
            async with self._dialling, asyncio.timeout(limit_s):
                if len(plan) == 1:
                    await self._pursue(plan[0], peer, source, failures, began)
                    return
                async with asyncio.TaskGroup() as tries:
                    for candidate in plan:
                        tries.create_task(self._pursue(candidate, peer, source, failures, began))
        except TimeoutError:
            tried = "; ".join(f"{candidate}: {failures.get(candidate, 'no answer')}" for candidate in plan)
            reason = f"could not be reached within {limit_s:g} s ({tried})"
            self._roster.unreachable(Member(peer.rank, peer.attempt), reason)

    async def _pursue(
        self, candidate: Candidate, peer: Peer, source: DialSource, failures: dict[Candidate, str], began: float
    ) -> None:
        """Try one candidate again and again. The last reason why it failed is left in `failures`."""
        await asyncio.sleep(candidate.delay_s)
        for tried in itertools.count(1):
            pause = BACKOFF.pause_s(tried)
            try:
                sock, early = await self._connect(candidate, peer, source)
            except OSError as error:
                failures[candidate] = reason_of(error)
                if candidate.endpoint is not None:
                    pause = pause_s(error, tried, source.rtt_s)
            else:
                try:
                    await self._introduce(sock, self._handshake(candidate, peer, probe=leaves_host(sock)), early, began)
                    return
                except (HandshakeRefused, OSError) as error:
                    failures[candidate] = reason_of(error)
            await asyncio.sleep(pause)

    async def _connect(self, candidate: Candidate, peer: Peer, source: DialSource) -> tuple[socket.socket, bytes]:
        if candidate.endpoint is not None:
            return await dial(candidate.endpoint, source.port, lambda: self._handshake(candidate, peer).greet()), b""
        membership, own = self._membership, self._own
        wish = Relay(membership.join.run_id, own.rank, own.attempt, peer.rank, peer.attempt)
        return await relay(source.server, wish, membership.rendezvous_key, source.port.max_segment)

    def _handshake(self, candidate: Candidate, peer: Peer, *, probe: bool = True) -> Handshake:
        return self._credentials.handshake((candidate.transport, Member(peer.rank, peer.attempt)), probe=probe)

    async def _introduce(self, sock: socket.socket, handshake: Handshake, early: bytes, began: float) -> None:
        self._talks.add(handshake)
        try:
            session = await introduce(sock, handshake, self._chosen, early=early)
        finally:
            self._talks.discard(handshake)
        self._admit(sock, session, handshake, began)

    async def _chosen(self, handshake: Handshake) -> bool:
        """Whether this rank, which is the one to choose, wants that connection."""
        if handshake.transport is Transport.RELAYED and not handshake.wanted:
            until = time.monotonic() + BETTER_LIMIT_S
            while self._better_way_opens(handshake) and time.monotonic() < until:  # noqa: ASYNC110 - rare, and short
                await asyncio.sleep(BETTER_POLL_S)
        assert handshake.peer is not None
        known, link = self._roster.at(handshake.peer.rank), self._links.get(handshake.peer.rank)
        if known is not None and known.member.attempt > handshake.peer.attempt:
            return False
        same = link is not None and (link.peer, link.process) == (handshake.peer, handshake.peer_process)
        return link is None or not same or link.is_broken

    def _better_way_opens(self, handshake: Handshake) -> bool:
        assert handshake.transport is not None
        better = WAYS[: WAYS.index(handshake.transport)]
        return any(talk.peer == handshake.peer and talk.transport in better for talk in self._talks)

    def _admit(self, sock: socket.socket, session: Session, handshake: Handshake, began: float) -> None:
        known, now = self._roster.at(session.peer.rank), time.monotonic()
        channel = Channel(
            sock,
            session,
            self._own,
            transport=str(handshake.transport),
            connect_s=now - (known.joined_at if known is not None and known.member == session.peer else began),
            settings=self._membership.settings,
            memory=self._roster.memory,
            sealing=self._roster.sealing,
        )
        if session.peer.rank >= self._membership.join.world_size or not self._roster.connected(channel, now):
            channel.close()  # it holds the key, but is of another world or has been replaced
            self.rejected += 1
            return
        self._links[session.peer.rank] = _Link(session.peer, handshake.peer_process, sock)
        self.give_up(session.peer.rank)
