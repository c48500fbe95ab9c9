import time

import pytest

from lambda_image.comm.operations.transfer import Transfer
from lambda_image.comm.roster import PeerState
from tests.unit.lambda_image.comm.local_group import LARGE, RANK_1, MakePair, came


def test_buffers_belong_to_frames_in_order() -> None:
    transfer, out = Transfer(1, None), bytearray(3)
    transfer.expect(None)
    assert transfer.out_buffers == []
    transfer.expect(out)
    transfer.expect(None)
    assert transfer.due == 3
    first, second, third = transfer.out_buffers
    assert (first, third) == (None, None)
    assert second is not None
    assert second.value is out


def test_it_is_over_when_all_has_come_and_the_kernel_has_all(make_pair: MakePair) -> None:
    pair = make_pair()
    transfer = Transfer(1, PeerState(RANK_1, time.monotonic(), pair.lower))
    transfer.expect(None)
    transfer.out.append((bytes(LARGE), 0))
    transfer.move(pair.lower, 1, 3, look=True)
    assert transfer.touched
    transfer.due = 0
    assert not transfer.over(pair.lower)
    while not transfer.over(pair.lower):
        came(pair.higher)
        transfer.move(pair.lower, 1, 3, look=True)
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
    transfer = Transfer(1, PeerState(RANK_1, 0.0, make_pair().lower if connected else None) if joined else None)
    transfer.due = due
    assert transfer.overdue() == words


def test_another_attempt_begins_with_nothing_moved(make_pair: MakePair) -> None:
    transfer = Transfer(1, PeerState(RANK_1, 0.0, make_pair().lower))
    transfer.touched = transfer.posted = True
    newer = PeerState(RANK_1, 1.0)
    transfer.bind(newer)
    assert (transfer.peer, transfer.channel, transfer.touched, transfer.posted) == (newer, None, False, False)
