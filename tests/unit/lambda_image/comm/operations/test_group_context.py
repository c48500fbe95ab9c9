import os

import numpy as np
import pytest

from lambda_image.comm.operations.group_context import delivered
from tests.unit.lambda_image.comm.local_group import MakeGroup


def test_a_value_is_delivered_where_it_should_go() -> None:
    out = np.zeros(3)
    assert delivered(np.arange(3.0), out) is out
    assert out.tolist() == [0, 1, 2]
    room = bytearray(2)
    assert delivered(b"ab", room) is room
    assert room == b"ab"
    assert delivered(b"ab", None) == b"ab"


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (np.zeros(4), r'out has room for \["<f8", \[4\]\]; the value is \["<f8", \[3\]\]'),
        (np.zeros(3, "f4"), "<f4"),
        (bytearray(24), "room for 24 bytes"),
        (np.zeros(6)[::2], "C-contiguous"),
        (bytes(24), "writable"),
    ],
)
def test_out_must_have_the_values_form(out: np.ndarray | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        delivered(np.arange(3.0), out)


def test_a_value_is_sent_in_pieces_unless_ranks_share_too_few_processors(make_group: MakeGroup) -> None:
    size, many = 100_000_000, 2 * (os.cpu_count() or 1) + 2
    rank = make_group(many).ranks[0]
    channels = [peer.channel for peer in rank.roster.all()]
    assert all(channel is not None and channel.same_host for channel in channels)
    assert not rank.bcasts_in_pieces(size)
    last = channels[-1]
    assert last is not None
    last.same_host = False
    assert rank.bcasts_in_pieces(size)
