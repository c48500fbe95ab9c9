"""The handshake as a conversation between two objects."""

import pytest

from lambda_image.comm.handshake import KEY_BYTES, Handshake, HandshakeRefused, Member

KEY = bytes(range(KEY_BYTES))
OPENER, ANSWERER = Member(2, 1), Member(0, 0)


def opener(peer: Member = ANSWERER, own: Member = OPENER, key: bytes = KEY, tags: bool = True) -> Handshake:
    return Handshake(key, own, opens=True, peer=peer, tags=tags, nonce=b"o" * 32)


def answerer(own: Member = ANSWERER, key: bytes = KEY, tags: bool = True, nonce: bytes = b"a" * 32) -> Handshake:
    return Handshake(key, own, opens=False, peer=None, tags=tags, nonce=nonce)


def converse(one: Handshake, other: Handshake) -> None:
    one.feed(other.feed(one.hello()))
    other.feed(one.prove())


def test_both_learn_the_peer_and_share_one_key_per_direction() -> None:
    one, other = opener(), answerer()
    converse(one, other)
    assert one.session is not None
    assert other.session is not None
    assert (one.session.peer, other.session.peer) == (ANSWERER, OPENER)
    assert one.session.send_key == other.session.receive_key
    assert one.session.receive_key == other.session.send_key
    assert one.session.send_key != one.session.receive_key
    assert one.wanted == other.wanted == 0


def test_another_nonce_makes_other_keys() -> None:
    sessions = []
    for nonce in (b"a" * 32, b"b" * 32):
        one, other = opener(), answerer(nonce=nonce)
        converse(one, other)
        assert one.session is not None
        sessions.append(one.session)
    assert sessions[0].send_key != sessions[1].send_key


@pytest.mark.parametrize(("mine", "yours"), [(True, True), (True, False), (False, True), (False, False)])
def test_tags_are_off_only_if_both_say_so(mine: bool, yours: bool) -> None:
    one, other = opener(tags=mine), answerer(tags=yours)
    converse(one, other)
    assert one.session is not None
    assert other.session is not None
    assert (one.session.send_key is not None) == (other.session.send_key is not None) == (mine or yours)


def test_the_answerer_is_not_connected_before_the_openers_proof() -> None:
    one, other = opener(), answerer()
    one.feed(other.feed(one.hello()))
    assert other.session is None
    assert one.session is None


def test_an_answerer_without_the_key_is_refused() -> None:
    one, other = opener(), answerer(key=bytes(KEY_BYTES))
    with pytest.raises(HandshakeRefused, match=r"rank 0 .*does not hold this run's key"):
        one.feed(other.feed(one.hello()))


def test_an_opener_without_the_key_is_refused() -> None:
    one, other = opener(), answerer()
    one.feed(other.feed(one.hello()))
    with pytest.raises(HandshakeRefused, match=r"rank 2 .*does not hold this run's key"):
        other.feed(bytes(32))
    assert other.session is None


@pytest.mark.parametrize("listener", [Member(1, 0), Member(0, 1)], ids=["another rank", "a newer attempt"])
def test_who_is_not_wanted_says_no(listener: Member) -> None:
    with pytest.raises(HandshakeRefused, match=r"it wants rank 0 \(attempt 0\); this is rank"):
        answerer(listener).feed(opener().hello())


def test_the_opener_checks_who_answers() -> None:
    # It holds the key, but is the process of a former attempt that still listens on the same port.
    stale = Member(0, 0)
    answer = answerer(stale).feed(opener(stale).hello())
    one = opener(Member(0, 1))
    one.hello()
    with pytest.raises(HandshakeRefused, match=r"says it is rank 0 \(attempt 0\); rank 0 \(attempt 1\) was expected"):
        one.feed(answer)


def test_only_the_higher_rank_opens() -> None:
    lower = Handshake(KEY, Member(0, 0), opens=True, peer=Member(2, 1), tags=True, nonce=b"o" * 32)
    with pytest.raises(HandshakeRefused, match="has no channel"):
        answerer(Member(2, 1)).feed(lower.hello())


def test_a_proof_cannot_be_reflected_nor_replayed() -> None:
    one, other = opener(), answerer()
    answer = other.feed(one.hello())
    with pytest.raises(HandshakeRefused):
        other.feed(answer[-32:])  # the answerer's own proof, sent back to it
    one.feed(answer)
    proof = one.prove()
    later = answerer(nonce=b"c" * 32)
    later.feed(one.hello())
    with pytest.raises(HandshakeRefused):
        later.feed(proof)  # from an earlier connection
    with pytest.raises(HandshakeRefused, match="own nonce"):
        answerer(nonce=b"o" * 32).feed(one.hello())


@pytest.mark.parametrize("index", range(0, 85, 4))
def test_any_changed_byte_of_the_answer_is_noticed(index: int) -> None:
    one, other = opener(), answerer()
    answer = bytearray(other.feed(one.hello()))
    answer[index] ^= 1
    with pytest.raises(HandshakeRefused):
        one.feed(bytes(answer))


@pytest.mark.parametrize("index", range(4, 53, 4))
def test_any_changed_byte_of_the_hello_is_noticed(index: int) -> None:
    one, other = opener(), answerer()
    hello = bytearray(one.hello())
    hello[index] ^= 1
    with pytest.raises(HandshakeRefused):
        one.feed(other.feed(bytes(hello)))


def test_another_protocol_is_refused_with_its_first_bytes() -> None:
    with pytest.raises(HandshakeRefused, match="b'GET '"):
        answerer().feed(b"GET / HTTP/1.1\r\n".ljust(answerer().wanted, b" "))


def test_nothing_is_taken_after_the_end_or_in_wrong_amounts() -> None:
    one, other = opener(), answerer()
    with pytest.raises(HandshakeRefused, match="were due"):
        other.feed(b"")
    converse(one, other)
    with pytest.raises(HandshakeRefused, match="were due"):
        other.feed(b"x")


def test_a_short_key_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one 5"):
        opener(key=b"short")
