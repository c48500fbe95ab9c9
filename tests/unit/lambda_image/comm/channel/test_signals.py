import pytest

from lambda_image.comm.channel.signals import MAX_REASON, Abort, Kind, abort_payload, name_of, parse_abort
from lambda_image.errors import InvalidEvent, PeerClosed, PeerTimeout


def test_an_abort_says_who_and_why() -> None:
    error = PeerTimeout("long text", peer=3, reason="had not joined by the deadline")
    assert parse_abort(abort_payload(error)) == Abort(PeerTimeout, 3, "had not joined by the deadline")


@pytest.mark.parametrize("error", [ValueError("shapes differ"), InvalidEvent("shapes differ")])
def test_any_other_error_closes_and_keeps_its_name(error: Exception) -> None:
    assert parse_abort(abort_payload(error)) == Abort(PeerClosed, None, f"{type(error).__name__}: shapes differ")


def test_a_long_reason_is_cut() -> None:
    assert len(parse_abort(abort_payload(ValueError("x" * 10_000))).reason) == MAX_REASON


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff", None, b'{"error": [], "peer": 1, "reason": 2}'])
def test_a_malformed_abort_is_an_abort_all_the_same(payload: object) -> None:
    assert parse_abort(payload).kind is PeerClosed


def test_operations_have_names() -> None:
    assert name_of(4, Kind.GATHER) == "4 (gather)"
    assert name_of(4, 99) == "4 (99)"
