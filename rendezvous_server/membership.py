"""One group: who its members are, and what to announce to each. All groups are in groups.py. No I/O, no clock.

Members differ in what they know in two ways only. Those that know nothing yet (fresh) get the whole table, and those
that know the state of the last announcement (informed) get what has changed since. So an announcement to N members is
two byte strings at most (four with a star among them), and each row is encoded once in its life.
"""

from collections.abc import Iterator
from typing import Generic

from rendezvous_server.effects import ConnT, Send
from rendezvous_server.protocol import (
    COMPLETE_FRAME,
    ROOT,
    Endpoint,
    Join,
    RejectCode,
    encode_left,
    encode_peers,
    encode_row,
)

RANGES_IN_A_REASON = 20  # more than that nobody reads; the frame has all of them


class GroupMember(Generic[ConnT]):
    """Holds what a group knows of one member."""

    __slots__ = ("attempt", "connection", "group", "heard", "rank", "row", "wants_all")

    def __init__(self, group: "Group[ConnT]", connection: ConnT, join: Join, observed: Endpoint, now: float) -> None:
        self.group = group
        self.connection = connection
        self.rank = join.rank
        self.attempt = join.attempt
        self.wants_all = join.wants_all
        self.row = encode_row(join, observed)
        self.heard = now  # when its last bytes came


class Group(Generic[ConnT]):
    """Keeps the members of one group, and finds out what to announce to whom."""

    def __init__(self, run_id: str, world_size: int, founded: float) -> None:
        self.run_id = run_id
        self.world_size = world_size
        self.founded = founded  # when its first member came
        self.members: dict[int, GroupMember[ConnT]] = {}
        self.complete = False  # all ranks were here at the same time; stays true when one leaves
        self.quiet_until = 0.0  # kept by the registry: no announcement before that, unless the group completes
        self._latest: dict[int, int] = {}  # the newest attempt of each rank that was ever here
        self._announced: dict[int, int] = {}  # the attempt of each rank that the informed know of
        self._touched: set[int] = set()  # ranks that joined, left or were replaced since
        self._fresh: dict[ConnT, GroupMember[ConnT]] = {}
        self._informed: dict[bool, set[ConnT]] = {True: set(), False: set()}  # by whether they want all rows
        self._complete_announced = False

    @property
    def completion_unannounced(self) -> bool:
        """Says whether the group is complete and its members do not know it yet."""
        return self.complete and not self._complete_announced

    def missing(self) -> list[int]:
        """Returns the ranks that are not members, ascending."""
        return [rank for rank in range(self.world_size) if rank not in self.members]

    def objection(self, join: Join) -> tuple[RejectCode, str] | None:
        """Returns why this join must be refused; None if it need not."""
        if join.world_size != self.world_size:
            was = f"world size {join.world_size}; the group {self.run_id!r} was started with {self.world_size}"
            return RejectCode.WORLD_SIZE, f"rank {join.rank} came with {was}"
        latest = self._latest.get(join.rank, -1)
        if join.rank in self.members and join.attempt <= latest:
            was = f"attempt {latest} is connected, and only a newer one than that replaces it"
            return RejectCode.DUPLICATE_RANK, f"rank {join.rank} came with attempt {join.attempt}; {was}"
        if join.attempt < latest:
            return RejectCode.STALE_ATTEMPT, f"rank {join.rank} came with attempt {join.attempt} after attempt {latest}"
        return None

    def add(
        self, connection: ConnT, join: Join, observed: Endpoint, now: float
    ) -> tuple[GroupMember[ConnT], GroupMember[ConnT] | None]:
        """Adds a member. Returns it and the older attempt that it replaces, if there is one."""
        former = self.members.get(join.rank)
        if former is not None:
            self.remove(former)
        member = GroupMember(self, connection, join, observed, now)
        self.members[member.rank] = member
        self._latest[member.rank] = member.attempt
        self._touched.add(member.rank)
        self._fresh[connection] = member
        self.complete = self.complete or len(self.members) == self.world_size
        return member, former

    def remove(self, member: GroupMember[ConnT]) -> None:
        """Removes a member."""
        del self.members[member.rank]
        self._touched.add(member.rank)
        self._fresh.pop(member.connection, None)
        self._informed[member.wants_all].discard(member.connection)

    def announce(self) -> list[Send[ConnT]]:
        """Returns what brings every member up to date, and takes it as sent."""
        sends = list(self._announcements())
        for member in self._fresh.values():
            self._informed[member.wants_all].add(member.connection)
        self._fresh = {}
        for rank in self._touched:
            if rank in self.members:
                self._announced[rank] = self.members[rank].attempt
            else:
                self._announced.pop(rank, None)
        self._touched = set()
        self._complete_announced = self.complete
        return sends

    def _announcements(self) -> Iterator[Send[ConnT]]:
        ending = COMPLETE_FRAME if self.completion_unannounced else b""
        touched = sorted(self._touched)
        for wants_all, informed in self._informed.items():
            if not informed:
                continue
            data = self._changes(touched if wants_all else [rank for rank in touched if rank == ROOT]) + ending
            if data:
                yield Send(tuple(informed), data)
        ending = COMPLETE_FRAME if self.complete else b""
        for wants_all in (True, False):
            fresh = [member.connection for member in self._fresh.values() if member.wants_all is wants_all]
            if fresh:
                data = self._table(wants_all) + ending
                if data:
                    yield Send(fresh, data)

    def _changes(self, ranks: list[int]) -> bytes:
        left = [(rank, self._announced[rank]) for rank in ranks if rank not in self.members and rank in self._announced]
        return encode_left(left) + encode_peers(self.members[rank].row for rank in ranks if rank in self.members)

    def _table(self, wants_all: bool) -> bytes:
        members = self.members if wants_all else {ROOT: self.members[ROOT]} if ROOT in self.members else {}
        if wants_all and len(members) == 1:
            return b""  # a rank that is alone has no peers
        return encode_peers(member.row for member in members.values())


def describe_ranks(ranks: list[int]) -> str:
    """Names ascending ranks in words, as "ranks 0, 3 to 7 and 12"; cut after RANGES_IN_A_REASON ranges."""
    ranges: list[tuple[int, int]] = []
    for rank in ranks:
        if ranges and ranges[-1][1] == rank - 1:
            ranges[-1] = (ranges[-1][0], rank)
        else:
            ranges.append((rank, rank))
    words = [str(first) if first == last else f"{first} to {last}" for first, last in ranges[:RANGES_IN_A_REASON]]
    if len(ranges) > RANGES_IN_A_REASON:
        words.append(f"{sum(last - first + 1 for first, last in ranges[RANGES_IN_A_REASON:])} more")
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"rank{'s' if len(ranks) > 1 else ''} {listed}"
