"""All groups: who is a member of which, and what falls due. One group is in membership.py. No I/O, no clock."""

from collections.abc import Iterator
from math import inf
from typing import Generic

from rendezvous_server.counts import Counts
from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import ConnT, Send
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.membership import Group, GroupMember, describe_ranks
from rendezvous_server.protocol import PING_FRAME, Endpoint, Join, RejectCode, encode_expired

# After an announcement a group is quiet for this long per member told, so that announcing takes a twentieth of a core
# at most (a write takes about 10 us), however the ranks trickle in: 13 ms for 64 ranks, 0.8 s for 4,096. The first
# change after a quiet time is announced at once, and so is completion.
QUIET_PER_WRITE_S = 200e-6


class Groups(Generic[ConnT]):
    """Keeps all groups, their members and their deadlines."""

    def __init__(self, limits: Limits, counts: Counts) -> None:
        self.wake_at = inf  # when something falls due; perhaps too early, until `next` has counted anew
        self._limits = limits
        self._counts = counts
        self._groups: dict[str, Group[ConnT]] = {}
        self._members: dict[ConnT, GroupMember[ConnT]] = {}
        self._incomplete: Deadlines[str] = Deadlines(limits.group_timeout_s)
        self._pings: Deadlines[str] = Deadlines(limits.ping_interval_s)
        self._announce_at: dict[str, float] = {}  # groups that have changed, and when that is announced

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def incomplete(self) -> int:
        return len(self._incomplete)

    @property
    def members(self) -> list[ConnT]:
        return list(self._members)

    def has(self, run_id: str, rank: int, attempt: int) -> bool:
        """Says whether this attempt of this rank is a member."""
        group = self._groups.get(run_id)
        member = group.members.get(rank) if group else None
        return member is not None and member.attempt == attempt

    def objection(self, join: Join) -> tuple[RejectCode, str] | None:
        """Returns why this join must be refused; None if it need not."""
        group = self._groups.get(join.run_id)
        if group is not None:
            return group.objection(join)
        if len(self._groups) >= self._limits.max_groups:
            self._counts.limits[Limit.GROUPS] += 1
            return RejectCode.LIMIT, f"the server is full: {len(self._groups)} groups"
        return None

    def add(self, connection: ConnT, join: Join, observed: Endpoint, now: float) -> ConnT | None:
        """Makes a connection a member. Returns that of the older attempt that it replaces, which is none any more."""
        group = self._groups.get(join.run_id) or self._found(join, now)
        member, former = group.add(connection, join, observed, now)
        self._members[connection] = member
        if group.complete and self._incomplete.discard(group.run_id):
            self._counts.group_s.observe(now - group.founded)
        self._plan_announcement(group, now)
        if former is None:
            return None
        del self._members[former.connection]
        return former.connection

    def expires_in(self, run_id: str, now: float) -> float:
        """Returns the seconds until this group expires; 0 if it is complete and does not."""
        return self._incomplete.remaining(run_id, now)

    def forget(self, connection: ConnT, now: float) -> bool:
        """Removes a member, and says whether it was one."""
        member = self._members.pop(connection, None)
        if member is None:
            return False
        group = member.group
        group.remove(member)
        if group.members:
            self._plan_announcement(group, now)
        else:
            self._dissolve(group)
        return True

    def heard(self, connection: ConnT, now: float) -> None:
        """Takes note that bytes came, which shows that the member is alive."""
        member = self._members.get(connection)
        if member is not None:
            member.heard = now

    def take_expired(self, now: float) -> Iterator[tuple[list[ConnT], bytes]]:
        """Dissolves every group that was not complete in time. Yields its former members and the frame for them."""
        for run_id in self._incomplete.take_due(now):
            group = self._groups[run_id]
            members = [member.connection for member in group.members.values()]
            for connection in members:
                del self._members[connection]
            self._dissolve(group)
            self._counts.groups_expired += 1
            missing = group.missing()
            was = f"{describe_ranks(missing)} of {group.world_size} did not join run {run_id!r}"
            yield members, encode_expired(missing, f"{was} within {self._limits.group_timeout_s:g} s")

    def take_unresponsive(self, now: float) -> Iterator[ConnT]:
        """Removes and yields members that left several pings unanswered. They are looked for when a ping is due."""
        for run_id in self._pings.due(now):
            for member in list(self._groups[run_id].members.values()):
                if now - member.heard >= self._limits.ping_timeout_s:
                    self.forget(member.connection, now)
                    yield member.connection

    def ping(self, now: float) -> Iterator[Send[ConnT]]:
        """Yields the pings that are due."""
        for run_id in list(self._pings.take_due(now)):
            self._pings.add(run_id, now)
            yield Send([member.connection for member in self._groups[run_id].members.values()], PING_FRAME)

    def announce(self, now: float) -> Iterator[Send[ConnT]]:
        """Yields what brings the members of every group that has changed up to date."""
        for run_id in [run_id for run_id, due in self._announce_at.items() if due <= now]:
            del self._announce_at[run_id]
            group = self._groups[run_id]
            sends = group.announce()
            group.quiet_until = now + QUIET_PER_WRITE_S * sum(len(send.to) for send in sends)
            yield from sends

    def next(self) -> float:
        """Returns when something falls due."""
        self.wake_at = min(self._incomplete.next(), self._pings.next(), *self._announce_at.values())
        return self.wake_at

    def _found(self, join: Join, now: float) -> Group[ConnT]:
        group: Group[ConnT] = Group(join.run_id, join.world_size, now)
        self._groups[join.run_id] = group
        self._wake(self._incomplete.add(join.run_id, now))
        self._wake(self._pings.add(join.run_id, now))
        return group

    def _dissolve(self, group: Group[ConnT]) -> None:
        del self._groups[group.run_id]
        self._incomplete.discard(group.run_id)
        self._pings.discard(group.run_id)
        self._announce_at.pop(group.run_id, None)

    def _plan_announcement(self, group: Group[ConnT], now: float) -> None:
        due = now if group.completion_unannounced else max(now, group.quiet_until)
        self._announce_at[group.run_id] = due = min(due, self._announce_at.get(group.run_id, inf))
        self._wake(due)

    def _wake(self, at: float) -> None:
        self.wake_at = min(self.wake_at, at)
