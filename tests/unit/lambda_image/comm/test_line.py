import time

import pytest

from lambda_image.comm.line import Line
from lambda_image.comm.roster import Peer
from tests.unit.lambda_image.comm.local_group import LARGE, RANK_1, MakePair, came


def test_buffers_belong_to_frames_in_order() -> None:
    line, out = Line(1, None), bytearray(3)
    line.expect(None)
    assert line.rooms == []
    line.expect(out)
    line.expect(None)
    assert line.due == 3
    first, second, third = line.rooms
    assert (first, third) == (None, None)
    assert second is not None
    assert second.value is out


def test_it_is_over_when_all_has_come_and_the_kernel_has_all(make_pair: MakePair) -> None:
    pair = make_pair()
    line = Line(1, Peer(RANK_1, time.monotonic(), pair.lower))
    line.expect(None)
    line.out.append((bytes(LARGE), 0))
    line.move(pair.lower, 1, 3, look=True)
    assert line.touched
    line.due = 0
    assert not line.over(pair.lower)
    while not line.over(pair.lower):
        came(pair.higher)
        line.move(pair.lower, 1, 3, look=True)
    assert came(pair.higher) is not None


@pytest.mark.parametrize(
    ("joined", "connected", "due", "words"),
    [
        (False, False, 1, "had not joined"),
        (True, False, 1, "had joined but not connected"),
        (True, True, 1, "had not sent its part"),
        (True, True, 0, "had not taken what was sent"),
    ],
)
def test_what_is_overdue(make_pair: MakePair, joined: bool, connected: bool, due: int, words: str) -> None:
    line = Line(1, Peer(RANK_1, 0.0, make_pair().lower if connected else None) if joined else None)
    line.due = due
    assert line.overdue() == words


def test_another_attempt_begins_with_nothing_moved(make_pair: MakePair) -> None:
    line = Line(1, Peer(RANK_1, 0.0, make_pair().lower))
    line.touched = line.lent = True
    newer = Peer(RANK_1, 1.0)
    line.bind(newer)
    assert (line.peer, line.channel, line.touched, line.lent) == (newer, None, False, False)
