"""How the thread in the background takes what the rendezvous tells it."""

import pytest

from lambda_image.comm.connector import MAX_LISTED, _failure
from lambda_image.comm.handshake import Member
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable, RunError
from rendezvous_server.protocol import (
    ClientEvent,
    ConnectionLost,
    Expired,
    GroupComplete,
    RejectCode,
    Rejected,
    Replaced,
    ServerClosing,
)

OWN = Member(2, 1)


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        (Expired((1, 3), "60 s have passed"), RendezvousTimeout, "ranks 1, 3 missing: 60 s have passed"),
        (Expired((4,), "late"), RendezvousTimeout, "rank 4 missing: late"),
        (Replaced(2, ""), RendezvousRejected, "attempt 2 of this rank has taken its place"),
        (Rejected(RejectCode.TIMEOUT, "no sign of life"), RendezvousRejected, "ended the membership: no sign of life"),
        (ServerClosing("maintenance"), RendezvousUnreachable, "has shut down: maintenance"),
        (ConnectionLost(), RendezvousUnreachable, "was lost"),
    ],
)
def test_every_end_of_the_news_is_an_error_that_says_why(event: ClientEvent, kind: type[RunError], words: str) -> None:
    error = _failure(event, OWN)
    assert type(error) is kind
    assert str(error).startswith("rank 2 (attempt 1): ")
    assert words in str(error)
    assert error.details["rank"] == 2


def test_other_news_are_no_end() -> None:
    assert _failure(GroupComplete(), OWN) is None


def test_a_long_list_of_missing_ranks_is_cut_in_words_only() -> None:
    error = _failure(Expired(tuple(range(5000)), "late"), OWN)
    assert error is not None
    assert f"{MAX_LISTED - 1}, ... missing" in str(error)
    assert len(str(error)) < 300
    assert error.details["missing"] == tuple(range(5000))
