"""What a rank may expect of a peer: facts and a time in, an outlook out."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.roster import (
    AWAIT_LIMIT_S,
    CHANNEL_AFTER_LEAVING_S,
    DIAL_LIMIT_S,
    SILENCE_AFTER_LEAVING_S,
    Lost,
    PeerState,
    Ready,
    Roster,
    Waiting,
    outlook,
)
from lambda_image.errors import PeerClosed, PeerUnreachable, RendezvousTimeout

NOW = 1000.0
THREE = Member(3, 0)


def channel(member: Member = THREE, *, moved_at: float = NOW, ended: str | None = None) -> Channel:
    return cast(Channel, SimpleNamespace(peer=member, moved_at=moved_at, ended=ended))


def peer(**facts: object) -> PeerState:
    return PeerState(THREE, NOW, **facts)  # type: ignore[arg-type]


def test_the_unknown_is_waited_for_until_the_rendezvous_has_failed() -> None:
    assert outlook(None, None, NOW) == Waiting(math.inf)
    lost = outlook(None, RendezvousTimeout("rank 3 is missing"), NOW)
    assert isinstance(lost, Lost)
    assert (lost.kind, lost.reason) == (RendezvousTimeout, "is not known: rank 3 is missing")


def test_the_announced_gets_time_to_connect_and_then_is_unreachable() -> None:
    assert outlook(peer(), None, NOW) == Waiting(NOW + AWAIT_LIMIT_S)
    late = outlook(peer(), None, NOW + AWAIT_LIMIT_S)
    assert isinstance(late, Lost)
    assert late.kind is PeerUnreachable
    assert outlook(peer(unreachable="refused"), None, NOW) == Lost(PeerUnreachable, "refused")
    assert AWAIT_LIMIT_S > DIAL_LIMIT_S  # the dialling side knows the reason, so it should be the first to give up


def test_a_channel_is_used_even_when_the_rendezvous_is_gone() -> None:
    opened = channel()
    assert outlook(peer(channel=opened), RendezvousTimeout("closed"), NOW) == Ready(opened, math.inf)


def test_who_has_left_is_read_until_it_falls_silent() -> None:
    opened = channel(moved_at=NOW + 1)
    gone = peer(channel=opened, gone="left", gone_at=NOW)
    until = NOW + 1 + SILENCE_AFTER_LEAVING_S
    assert outlook(gone, None, NOW + 1) == Ready(opened, until)
    assert outlook(gone, None, until) == Lost(PeerClosed, "left")


def test_who_has_left_without_a_channel_is_lost_almost_at_once() -> None:
    gone = peer(gone="left", gone_at=NOW)
    assert outlook(gone, None, NOW) == Waiting(NOW + CHANNEL_AFTER_LEAVING_S)
    assert outlook(gone, None, NOW + CHANNEL_AFTER_LEAVING_S) == Lost(PeerClosed, "left")


def test_an_ended_channel_is_lost_with_every_reason_known() -> None:
    opened = channel(ended="closed the connection")
    assert outlook(peer(channel=opened), None, NOW) == Lost(PeerClosed, "closed the connection")
    both = outlook(peer(channel=opened, gone="left the group", gone_at=NOW), None, NOW)
    assert both == Lost(PeerClosed, "closed the connection; it left the group")


def test_every_change_is_announced() -> None:
    changes: list[str] = []
    roster = Roster(changed=lambda: changes.append("!"))
    actions: list[Callable[[], object]] = [
        lambda: roster.joined(THREE, NOW),
        lambda: roster.unreachable(THREE, "refused"),
        lambda: roster.connected(channel(), NOW),
        lambda: roster.left(THREE, "left", NOW),
        lambda: roster.fail(RendezvousTimeout("late")),
    ]
    for count, action in enumerate(actions, 1):
        action()
        assert len(changes) == count


def test_a_newer_attempt_takes_the_place_and_the_former_is_marked() -> None:
    roster, old = Roster(), channel()
    roster.joined(THREE, NOW)
    assert roster.connected(old, NOW)
    former = roster.at(3)
    assert former is not None
    roster.joined(Member(3, 1), NOW + 5)
    current = roster.at(3)
    assert current is not None
    assert current is not former
    assert (current.member.attempt, current.channel) == (1, None)
    assert former.gone == "was replaced (attempt 1)"
    assert roster.former_channels() == [old]
    assert roster.former_channels() == []


def test_a_channel_of_an_older_attempt_is_turned_away() -> None:
    roster = Roster()
    roster.joined(Member(3, 1), NOW)
    assert not roster.connected(channel(Member(3, 0)), NOW)
    roster.joined(Member(3, 0), NOW)
    entry = roster.at(3)
    assert entry is not None
    assert entry.member.attempt == 1


def test_a_channel_may_come_before_its_announcement() -> None:
    roster, opened = Roster(), channel(Member(3, 1))
    assert roster.connected(opened, NOW)
    roster.joined(Member(3, 1), NOW + 1)
    entry = roster.at(3)
    assert entry is not None
    assert entry.channel is opened


def test_a_second_channel_replaces_the_first() -> None:
    roster, first, second = Roster(), channel(), channel()
    assert roster.connected(first, NOW)
    assert roster.connected(second, NOW)
    entry = roster.at(3)
    assert entry is not None
    assert entry.channel is second
    assert roster.former_channels() == [first]


def test_the_same_attempt_announced_again_keeps_a_channel_that_works() -> None:
    roster, opened = Roster(), channel()
    roster.connected(opened, NOW)
    roster.left(THREE, "left", NOW)
    assert not roster.joined(THREE, NOW + 1)
    entry = roster.at(3)
    assert entry is not None
    assert (entry.channel, entry.gone) == (opened, None)


def test_the_same_attempt_announced_again_starts_anew_without_one() -> None:
    roster = Roster()
    roster.connected(channel(ended="closed"), NOW)
    roster.left(THREE, "left", NOW)
    assert roster.joined(THREE, NOW + 1)
    entry = roster.at(3)
    assert entry is not None
    assert (entry.channel, entry.gone) == (None, None)


def test_news_of_a_former_attempt_changes_nothing() -> None:
    roster = Roster()
    roster.joined(Member(3, 1), NOW)
    roster.left(THREE, "left", NOW)
    roster.unreachable(THREE, "refused")
    entry = roster.at(3)
    assert entry is not None
    assert (entry.gone, entry.unreachable) == (None, None)


@pytest.mark.parametrize("dismissed", [False, True])
def test_the_last_failure_counts_but_a_dismissal_is_final(dismissed: bool) -> None:
    roster = Roster()
    first, second = RendezvousTimeout("first"), RendezvousTimeout("second")
    roster.fail(first, dismissed=dismissed)
    roster.fail(second)
    assert roster.failure is (first if dismissed else second)
    assert roster.dismissed is (first if dismissed else None)


def test_news_that_come_again_end_a_failure_but_no_dismissal() -> None:
    roster = Roster()
    roster.fail(RendezvousTimeout("the server is gone"))
    roster.recovered()
    assert roster.failure is None
    roster.fail(RendezvousTimeout("replaced"), dismissed=True)
    roster.recovered()
    assert roster.failure is roster.dismissed is not None
