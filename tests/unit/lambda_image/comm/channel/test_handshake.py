"""The handshake as a conversation between two objects."""

import itertools
from collections.abc import Callable

import pytest

from lambda_image.comm.channel.handshake import (
    KEY_BYTES,
    NONCE_BYTES,
    PROBE,
    Handshake,
    HandshakeRefused,
    Member,
    OtherVersion,
)
from lambda_image.comm.channel.transport import Transport
from tests.unit.lambda_image.comm.local_group import Change, converse

KEY = bytes(range(KEY_BYTES))
WRONG = bytes(KEY_BYTES)
HIGHER, LOWER = Member(2, 1), Member(0, 0)
DIRECT = Transport.DIRECT
LENGTH = Handshake(KEY, LOWER, way=None, encrypted=True, probe=True, nonce=bytes(NONCE_BYTES)).wanted  # of a greeting
serial = itertools.count(1)


def end(
    own: Member,
    to: Member | None = None,
    way: Transport = DIRECT,
    key: bytes = KEY,
    encrypted: bool = True,
    probe: bool = True,
) -> Handshake:
    """A side that dials `to`, or else was dialled."""
    nonce = next(serial).to_bytes(NONCE_BYTES, "big")
    return Handshake(key, own, way=(way, to) if to else None, encrypted=encrypted, probe=probe, nonce=nonce)


def flipped(message: bytes, index: int) -> bytes:
    return message[:index] + bytes((message[index] ^ 1,)) + message[index + 1 :]


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("dials", ["higher", "lower", "both"])
def test_both_learn_the_peer_and_share_one_key_per_direction(dials: str, probe: bool) -> None:
    higher = end(HIGHER, LOWER if dials != "lower" else None, probe=probe)
    lower = end(LOWER, HIGHER if dials != "higher" else None, probe=probe)
    converse(higher, lower)
    assert higher.session is not None
    assert lower.session is not None
    assert (higher.session.peer, lower.session.peer) == (LOWER, HIGHER)
    assert higher.session.send_key == lower.session.receive_key
    assert higher.session.receive_key == lower.session.send_key
    assert higher.session.send_key != higher.session.receive_key
    assert higher.proven
    assert lower.proven


def test_another_nonce_makes_other_keys() -> None:
    keys = set()
    for _ in range(2):
        higher, lower = end(HIGHER, LOWER), end(LOWER)
        converse(higher, lower)
        assert higher.session is not None
        keys.add(higher.session.send_key)
    assert len(keys) == 2


def test_who_is_dialled_learns_the_way_and_of_two_ways_the_better_one_counts() -> None:
    for higher, lower, way in (
        (end(HIGHER, LOWER, Transport.RELAYED), end(LOWER), Transport.RELAYED),
        (end(HIGHER), end(LOWER, HIGHER, Transport.PUNCHED), Transport.PUNCHED),
        (end(HIGHER, LOWER, Transport.PUNCHED), end(LOWER, HIGHER, DIRECT), DIRECT),
        (end(HIGHER, LOWER, DIRECT), end(LOWER, HIGHER, Transport.PUNCHED), DIRECT),
    ):
        converse(higher, lower)
        assert higher.transport is lower.transport is way


@pytest.mark.parametrize(("mine", "yours"), [(True, True), (True, False), (False, True), (False, False)])
def test_encryption_and_probe_are_left_out_only_if_both_say_so(mine: bool, yours: bool) -> None:
    higher, lower = end(HIGHER, LOWER, encrypted=mine, probe=mine), end(LOWER, encrypted=yours, probe=yours)
    sent = 0

    def count(sender: Handshake, message: bytes) -> bytes:
        nonlocal sent
        sent += len(message)
        return message

    converse(higher, lower, count)
    assert higher.session is not None
    assert lower.session is not None
    assert (higher.session.send_key is not None) == (lower.session.send_key is not None) == (mine or yours)
    assert (sent > 2 * len(PROBE)) == (mine or yours)


def test_nobody_is_connected_before_the_nomination() -> None:
    higher, lower = end(HIGHER, LOWER), end(LOWER)
    proof = lower.feed(higher.greet())
    assert higher.feed(proof[:LENGTH]) == b""
    with pytest.raises(HandshakeRefused, match="before its time"):
        higher.nominate()
    probe = higher.feed(proof[LENGTH:])
    assert lower.feed(probe[:32]) == b""
    higher.feed(lower.feed(probe[32:]))
    assert higher.session is lower.session is None
    nomination = higher.nominate()
    assert lower.session is None
    lower.feed(nomination)
    assert lower.session is not None


def test_only_the_higher_rank_nominates() -> None:
    higher, lower = end(HIGHER, LOWER), end(LOWER)
    converse(higher, lower)
    with pytest.raises(HandshakeRefused, match="before its time"):
        lower.nominate()


def test_the_probe_goes_to_nobody_who_has_not_proved_the_key() -> None:
    higher, lower = end(HIGHER, LOWER), end(LOWER)
    answer = lower.feed(higher.greet())
    assert PROBE not in answer
    higher.feed(answer[:LENGTH])
    with pytest.raises(HandshakeRefused, match=r"rank 0 .*does not hold this run's key"):
        higher.feed(bytes(32))
    with pytest.raises(HandshakeRefused, match=r"rank 2 .*does not hold this run's key"):
        lower.feed(bytes(32))
    assert not higher.proven
    assert not lower.proven


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("dials", ["higher", "lower"])
@pytest.mark.parametrize("without", ["higher", "lower"])
def test_who_does_not_hold_the_key_is_refused(without: str, dials: str, probe: bool) -> None:
    higher = end(HIGHER, LOWER if dials == "higher" else None, key=WRONG if without == "higher" else KEY, probe=probe)
    lower = end(LOWER, HIGHER if dials == "lower" else None, key=WRONG if without == "lower" else KEY, probe=probe)
    with pytest.raises(HandshakeRefused, match=r"rank 0 .*does not hold this run's key"):
        converse(higher, lower)  # the lower rank proves itself first, and gets no further
    assert lower.session is None


@pytest.mark.parametrize("listener", [Member(1, 0), Member(0, 1)], ids=["another rank", "a newer attempt"])
def test_who_is_not_wanted_says_no(listener: Member) -> None:
    with pytest.raises(HandshakeRefused, match=r"it wants rank 0 \(attempt 0\); this is rank"):
        end(listener).feed(end(HIGHER, LOWER).greet())


def test_who_dials_checks_who_answers() -> None:
    # It holds the key, but is the process of a former attempt that still listens on the same port.
    stale, newer = Member(0, 0), Member(0, 1)
    answer = end(stale).feed(end(HIGHER, stale).greet())
    higher = end(HIGHER, newer)
    higher.greet()
    with pytest.raises(HandshakeRefused, match=r"says it is rank 0 \(attempt 0\); rank 0 \(attempt 1\) was expected"):
        higher.feed(answer[:LENGTH])


def test_nobody_connects_to_itself() -> None:
    one = end(LOWER, LOWER)
    with pytest.raises(HandshakeRefused, match="no channel to itself"):
        one.feed(one.greet())


def ends(dials: str, probe: bool = True) -> tuple[Handshake, Handshake]:
    higher = end(HIGHER, LOWER if dials != "lower" else None, probe=probe)
    return higher, end(LOWER, HIGHER if dials != "higher" else None, probe=probe)


def proof_in(message: bytes) -> bytes | None:
    """A greeting may come before it, and a probe behind."""
    rest = message[LENGTH:] if message[:3] == b"CAI" else message
    return rest[:32] if rest and rest != PROBE else None


def replacing(place: int, by: Callable[[list[bytes]], bytes]) -> Change:
    """In the place of a conversation's proof, counted from 0, another one; `by` gets all that were made so far."""
    own: list[bytes] = []

    def change(_: Handshake, message: bytes) -> bytes:
        if (proof := proof_in(message)) is None:
            return message
        own.append(proof)
        return message.replace(proof, by(own)) if len(own) == place + 1 else message

    return change


@pytest.mark.parametrize(("probe", "proofs"), [(True, 3), (False, 2)])
@pytest.mark.parametrize("dials", ["higher", "lower", "both"])
def test_no_proof_can_take_the_place_of_another_nor_come_back_to_its_maker(
    dials: str, probe: bool, proofs: int
) -> None:
    for place in range(proofs):
        for other in range(place):
            higher, lower = ends(dials, probe)
            with pytest.raises(HandshakeRefused, match="does not hold this run's key"):
                converse(higher, lower, replacing(place, lambda own, other=other: own[other]))  # type: ignore[misc]
            assert lower.session is None


@pytest.mark.parametrize(("probe", "proofs"), [(True, 3), (False, 2)])
@pytest.mark.parametrize("dials", ["higher", "lower", "both"])
def test_a_proof_of_another_conversation_is_worth_nothing(dials: str, probe: bool, proofs: int) -> None:
    overheard: list[bytes] = []
    converse(*ends(dials, probe), replacing(proofs - 1, lambda own: overheard.extend(own) or own[-1]))  # type: ignore[func-returns-value]
    assert len(set(overheard)) == proofs
    for place, heard in itertools.product(range(proofs), overheard):
        higher, lower = ends(dials, probe)
        with pytest.raises(HandshakeRefused, match="does not hold this run's key"):
            converse(higher, lower, replacing(place, lambda _, heard=heard: heard))  # type: ignore[misc]
        assert lower.session is None


@pytest.mark.parametrize("dials", ["higher", "lower"])
@pytest.mark.parametrize("index", range(0, LENGTH + 32, 3))
def test_any_changed_byte_of_greetings_and_first_proof_is_noticed(index: int, dials: str) -> None:
    for place in range(2):
        higher, lower = ends(dials)
        number = itertools.count()

        def change(_: Handshake, message: bytes, number: itertools.count = number, place: int = place) -> bytes:
            return flipped(message, index % len(message)) if next(number) == place else message

        with pytest.raises(HandshakeRefused):
            converse(higher, lower, change)
        assert higher.session is lower.session is None


@pytest.mark.parametrize("asked", ["encrypted", "probe"])
def test_what_one_side_asks_for_cannot_be_taken_back_on_the_way(asked: str) -> None:
    def without_flags(_: Handshake, message: bytes) -> bytes:
        return message[:4] + b"\0" + message[5:] if message[:4] == b"CAI5" else message

    wishes = {"encrypted": False, "probe": False, asked: True}
    higher, lower = end(HIGHER, LOWER, **wishes), end(LOWER, **{**wishes, asked: False})  # type: ignore[arg-type]
    with pytest.raises(HandshakeRefused, match="does not hold this run's key"):
        converse(higher, lower, without_flags)


@pytest.mark.parametrize("sender", ["higher", "lower"])
def test_a_probe_that_comes_changed_is_refused(sender: str) -> None:
    higher, lower = end(HIGHER, LOWER), end(LOWER)
    altered = higher if sender == "higher" else lower

    def change(one: Handshake, message: bytes) -> bytes:
        return flipped(message, -2) if one is altered and PROBE in message else message

    with pytest.raises(HandshakeRefused, match="the probe came changed"):
        converse(higher, lower, change)
    assert lower.session is None


def test_another_protocol_is_refused_with_its_first_bytes() -> None:
    with pytest.raises(HandshakeRefused, match="b'GET '"):
        end(LOWER).feed(b"GET / HTTP/1.1\r\n".ljust(LENGTH, b" "))


def test_another_version_of_the_protocol_is_told_which_one_is_spoken_here() -> None:
    """Otherwise its end would only see that the connection was reset."""
    later = b"CAI9" + end(HIGHER, LOWER).greet()[4:]
    with pytest.raises(OtherVersion, match=r"^rank 2 \(attempt 1\) speaks version '9'") as refused:
        end(LOWER).feed(later)
    with pytest.raises(
        HandshakeRefused,
        match=r"^rank 0 \(attempt 0\) speaks version '5' of this protocol, and rank 2 \(attempt 1\) version '9'$",
    ):
        end_of_another_version(HIGHER, LOWER).feed(refused.value.greeting)


def end_of_another_version(own: Member, to: Member) -> Handshake:
    class Later(Handshake):
        magic = b"CAI9"

    return Later(KEY, own, way=(DIRECT, to), encrypted=True, probe=True, nonce=bytes(NONCE_BYTES))


def test_a_way_that_this_version_does_not_know_is_refused() -> None:
    greeting = end(HIGHER, LOWER).greet()
    with pytest.raises(HandshakeRefused, match="does not speak this protocol"):
        end(LOWER).feed(greeting[:5] + b"\x09" + greeting[6:])


def test_nothing_is_taken_after_the_end_or_in_wrong_amounts() -> None:
    higher, lower = end(HIGHER, LOWER), end(LOWER)
    with pytest.raises(HandshakeRefused, match="were due"):
        lower.feed(b"")
    converse(higher, lower)
    for one in (higher, lower):
        with pytest.raises(HandshakeRefused, match="were due"):
            one.feed(b"x")


def test_a_short_key_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one 5"):
        end(LOWER, key=b"short")
