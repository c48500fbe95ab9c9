"""Values that are sealed once for all ranks: their bytes, what opens them, and what does not."""

import hashlib
import hmac
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lambda_image.comm.channel.frame_reader import FrameReader
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import (
    HEADER,
    HEADER_BYTES,
    SEALED_RECORD_BYTES,
    TAG_BYTES,
    Frame,
    FrameRefused,
    Header,
)
from lambda_image.comm.channel.handshake import KEY_BYTES, NONCE_BYTES, Member
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import KEYS_KEPT, LARGEST, SEALED, SMALLEST, Content, SealedValue, Sealing
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.channel.values import allocate
from tests.unit.lambda_image.comm.local_group import MakePair
from tests.unit.lambda_image.comm.wire import KEY

RUN_KEY = bytes(range(KEY_BYTES))
ROOT, INNER, LEAF = Member(2, 1), Member(3, 0), Member(4, 0)
BCAST, ALLGATHER, GATHER = int(Kind.BCAST), int(Kind.ALLGATHER), int(Kind.GATHER)
VALUE = np.random.default_rng(0).integers(0, 255, 2 * SEALED_RECORD_BYTES + 1000, np.uint8)  # three records
RECORD = SEALED_RECORD_BYTES + TAG_BYTES
SEAL_BYTES = 4 + 4 + NONCE_BYTES + 4


def sealing(own: Member = ROOT, run_key: bytes = RUN_KEY) -> Sealing:
    return Sealing(run_key, own, Memory())


def sealed(value: Content = VALUE, of: Sealing | None = None, operation: int = 7, kind: int = BCAST) -> SealedValue:
    assert not isinstance(value, SealedValue)
    made = (of or sealing()).seal(operation, kind, 0, value, 2)
    assert isinstance(made, SealedValue)
    return made


def wire(value: SealedValue, writer: FrameWriter | None = None) -> bytes:
    """The bytes of its frame on a channel."""
    writer = writer or FrameWriter(KEY)
    writer.push_sealed(value)
    sent = b""
    while views := writer.buffers():
        sent += b"".join(views)
        writer.sent(sum(map(len, views)))
    assert writer.idle
    return sent


def reader(
    own: Sealing, peer: Member = ROOT, allocated: Callable = lambda header, meta: allocate(meta, header.length)
) -> FrameReader:
    return FrameReader(KEY, allocate=allocated, sealing=(own, peer))


def feed(to: FrameReader, data: bytes) -> list[Frame]:
    while data:
        room = to.buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        to.received(count)
        data = data[count:]
    return list(to.frames)


def opened(data: bytes, own: Sealing | None = None, peer: Member = ROOT) -> SealedValue:
    (frame,) = feed(reader(own or sealing(LEAF), peer), data)
    assert isinstance(frame.value, SealedValue)
    return frame.value


def test_a_value_is_opened_as_it_was_with_who_has_sealed_it() -> None:
    value = opened(wire(sealed()))
    assert isinstance(value.value, np.ndarray)
    assert value.value.dtype == VALUE.dtype
    assert np.array_equal(value.value, VALUE)
    assert value.sealer == ROOT
    assert opened(wire(sealed(VALUE.tobytes()))).value == VALUE.tobytes()


def test_the_frame_is_these_bytes() -> None:
    """Another implementation would have to make the same: HKDF as RFC 5869 writes it, then AES-GCM."""
    nonce, content = b"n" * NONCE_BYTES, bytes(600_000)
    own = Sealing(RUN_KEY, ROOT, Memory(), draw=lambda size: nonce[:size])
    frames = [wire(sealed(content, own, operation)) for operation in (7, 8)]
    extracted = hmac.digest(nonce, RUN_KEY, "sha256")
    who = ROOT.rank.to_bytes(4, "big") + ROOT.attempt.to_bytes(4, "big")
    purpose = b"cosmicai value for all ranks, version 5: " + who
    gcm = AESGCM(hmac.digest(extracted, purpose + b"\1", "sha256")[:16])
    for operation, frame, first in ((7, frames[0], 0), (8, frames[1], 2)):
        header = HEADER.pack(operation, BCAST, int(Flag.SEALED), SEAL_BYTES, len(content))
        meta = who + nonce + first.to_bytes(4, "big")
        records = b"".join(
            gcm.encrypt(number.to_bytes(12, "big"), bytes(size), header + meta)
            for number, size in ((first, SEALED_RECORD_BYTES), (first + 1, len(content) - SEALED_RECORD_BYTES))
        )
        assert frame == header + AESGCM(KEY).encrypt(bytes(12), meta, header) + records
    digest = hashlib.sha256(b"".join(frames)).hexdigest()
    assert digest == "8c0a552f83bd351c8d564f3cb2eaeb983be7735429d632fd3e842461c0ad4ae3"


def test_every_receiver_is_sent_the_same_records_which_are_made_once() -> None:
    given = VALUE.copy()
    value, frames = sealed(given), []
    for key in (b"a", b"b", b"c"):
        frames.append(wire(value, FrameWriter(key * 16)))
        given[:] = 0  # nothing is read of it any more
    head = HEADER_BYTES + len(value.meta) + TAG_BYTES
    assert len({frame[head:] for frame in frames}) == 1
    assert len({frame[HEADER_BYTES:head] for frame in frames}) == 3  # whose channel's own


def test_the_first_receiver_is_sent_each_record_before_the_next_is_sealed() -> None:
    writer = FrameWriter(KEY)
    writer.push_sealed(value := sealed())
    sizes = []
    while views := writer.buffers():
        sizes += [len(view) for view in views]
        writer.sent(sum(map(len, views)))
    assert sizes == [HEADER_BYTES + len(value.meta) + TAG_BYTES, RECORD, RECORD, 1000 + TAG_BYTES]


def test_what_is_passed_on_are_the_very_bytes_that_came() -> None:
    inner, sent = sealing(INNER), wire(sealed())
    inner.passed_on = 7, BCAST
    kept = opened(sent, inner)
    assert kept.can_be_sent
    passed = wire(kept)
    assert passed == sent  # on a channel that has the same key and has sent as much
    assert np.array_equal(opened(passed, peer=INNER).value, VALUE)
    assert opened(passed, peer=INNER).sealer == ROOT


@pytest.mark.parametrize("passed_on", [None, (6, BCAST), (7, ALLGATHER)])
def test_who_passes_nothing_on_keeps_no_sealed_bytes(passed_on: tuple[int, int] | None, make_pair: MakePair) -> None:
    own = sealing(LEAF)
    own.passed_on = passed_on
    value = opened(wire(sealed()), own)
    assert not value.can_be_sent
    pair = make_pair(Member(0, 0), Member(1, 0))  # it is sent as a value of the channel's
    pair.higher.push(7, BCAST, SEALED, value)
    pair.higher.pump_out()
    pair.lower.pump_in()
    while not pair.lower.frames:
        pair.higher.pump_out()
        pair.lower.pump_in()
    assert np.array_equal(pair.lower.frames[0].value, VALUE)
    assert pair.lower.frames[0].header.flags == 0


def test_a_channel_that_is_not_encrypted_sends_the_value_itself(make_pair: MakePair) -> None:
    pair = make_pair(encrypted=False)
    pair.higher.push(7, BCAST, SEALED, sealed())
    while not pair.lower.frames:
        pair.higher.pump_out()
        pair.lower.pump_in()
    assert np.array_equal(pair.lower.frames[0].value, VALUE)


Change = Callable[[Sealing], SealedValue]


@pytest.mark.parametrize(
    "of",
    [sealing(run_key=b"another run's key".ljust(KEY_BYTES)), sealing(Member(2, 0)), sealing(Member(1, 1)), sealing()],
    ids=["run", "attempt", "rank", "nonce"],
)
def test_records_of_another_run_rank_attempt_or_key_do_not_open(of: Sealing) -> None:
    expected, other = sealed(), sealed(of=of)
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        opened(with_records(expected, other))


@pytest.mark.parametrize("what", ["operation", "kind", "value", "form"])
def test_records_of_the_same_key_do_not_open_as_another_value(what: str) -> None:
    of, form = sealing(), VALUE.view("i1") if what == "form" else VALUE
    expected = sealed(of=of)
    again = sealing()  # the same key, whose records are counted anew: only what is said of the value differs
    again._nonce, again._cipher, again._next = of._nonce, of._cipher, of._next if what == "value" else 0
    other = sealed(form, again, 8 if what == "operation" else 7, ALLGATHER if what == "kind" else BCAST)
    assert other.meta[:-4] != expected.meta[:-4] or what != "form"
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        opened(with_records(expected, other))
    assert np.array_equal(opened(wire(expected)).value, VALUE)


def with_records(value: SealedValue, other: SealedValue) -> bytes:
    """The frame of the one with the records of the other."""
    head, rest = len(value.meta) + HEADER_BYTES + TAG_BYTES, len(other.meta) + HEADER_BYTES + TAG_BYTES
    return wire(value)[:head] + wire(other)[rest:]


def test_records_that_are_changed_or_change_places_leave_nothing_behind() -> None:
    frame, value = wire(sealed()), sealed()
    head = HEADER_BYTES + len(value.meta) + TAG_BYTES
    first, second = frame[head : head + RECORD], frame[head + RECORD : head + 2 * RECORD]
    broken = frame[: head + RECORD + 5] + bytes((frame[head + RECORD + 5] ^ 1,)) + frame[head + RECORD + 6 :]
    for changed, verified in (
        (frame[:head] + second + first + frame[head + 2 * RECORD :], 0),
        (frame[:head] + first + first + frame[head + 2 * RECORD :], SEALED_RECORD_BYTES),
        (broken, SEALED_RECORD_BYTES),
    ):
        room = bytearray(VALUE.nbytes)
        receiver = reader(sealing(LEAF), allocated=lambda header, meta, room=room: (room, memoryview(room)))
        with pytest.raises(FrameRefused, match="record does not match its tag"):
            feed(receiver, changed)
        assert room == VALUE.tobytes()[:verified] + bytes(VALUE.nbytes - verified)
        assert not receiver.frames


def by_channel(header: bytes, meta: bytes) -> bytes:
    return header + AESGCM(KEY).encrypt(bytes(12), meta, header)


@pytest.mark.parametrize(
    ("kind", "meta", "length", "refusal"),
    [
        (GATHER, bytes(SEAL_BYTES), SMALLEST, "where every rank has its own"),
        (255, bytes(SEAL_BYTES), SMALLEST, "where every rank has its own"),
        (BCAST, bytes(SEAL_BYTES - 1), SMALLEST, "without its seal"),
        (BCAST, bytes((0, 0, 0, 2, 0, 0, 0, 0)) + bytes(NONCE_BYTES + 4), SMALLEST, "attempt 0 has sealed"),
        (BCAST, bytes(SEAL_BYTES - 4) + b"\xff" * 4, SMALLEST, "more sealed records than one key"),
    ],
)
def test_a_frame_that_can_be_no_sealed_value_is_refused(kind: int, meta: bytes, length: int, refusal: str) -> None:
    frame = by_channel(HEADER.pack(7, kind, SEALED, len(meta), length), meta)
    with pytest.raises(FrameRefused, match=refusal):
        feed(reader(sealing(LEAF)), frame)


def test_sealed_values_are_refused_where_there_can_be_none() -> None:
    whole = HEADER.pack(7, BCAST, SEALED, SEAL_BYTES, 0)
    frames: Sequence[tuple[FrameReader, bytes]] = (
        (reader(sealing(LEAF)), by_channel(whole, bytes(SEAL_BYTES))),
        (FrameReader(KEY), wire(sealed())),
        (FrameReader(None, sealing=(sealing(LEAF), ROOT)), HEADER.pack(7, BCAST, SEALED, 0, SMALLEST)),
    )
    for receiver, frame in frames:
        with pytest.raises(FrameRefused, match="where there can be none"):
            feed(receiver, frame)


def test_values_are_sealed_only_where_that_saves_work() -> None:
    own, large = sealing(), bytes(SMALLEST)
    assert isinstance(own.seal(1, BCAST, 0, large, 2), SealedValue)
    assert own.seal(1, BCAST, 0, large, 1) is large
    assert own.seal(1, BCAST, 0, small := bytes(SMALLEST - 1), 9) is small
    assert own.seal(1, BCAST, 0, huge := np.empty(LARGEST + 1, np.uint8), 9) is huge
    bare = Sealing(RUN_KEY, ROOT, Memory(), seals=False)
    assert bare.seal(1, BCAST, 0, large, 9) is large


def test_no_number_is_used_twice_with_a_key() -> None:
    """Nor by values of which no record was ever sent."""
    own, used = Sealing(RUN_KEY, ROOT, Memory(), records_per_key=7), []
    for operation in range(20):
        value = sealed(VALUE, own, operation)
        nonce, first = value.meta[8 : 8 + NONCE_BYTES], int.from_bytes(value.meta[8 + NONCE_BYTES : SEAL_BYTES], "big")
        used += [(nonce, first + number) for number in range(3)]
        assert first + 3 <= 7
    assert len(set(used)) == 60
    assert len({nonce for nonce, _ in used}) == 10


def test_the_keys_of_others_are_kept_but_not_without_end() -> None:
    own, peers, small = sealing(LEAF), [sealing(Member(rank, 0)) for rank in (3, 4, 5)], bytes(SMALLEST)
    for operation in range(3):
        for peer in peers:
            opened(wire(sealed(small, peer, operation)), own, ROOT)
    assert len(own._ciphers) == 3
    header = HEADER.pack(7, BCAST, SEALED, SEAL_BYTES, SMALLEST)
    for number in range(KEYS_KEPT):
        own.open(Header.unpack(header), header, (9 + number).to_bytes(4, "big") + bytes(SEAL_BYTES - 4), ROOT)
    assert len(own._ciphers) < KEYS_KEPT


def test_a_shape_that_leaves_no_room_for_the_seal_is_sent_without() -> None:
    deep = np.zeros((1,) * 32, np.uint8)
    assert sealing().seal(1, BCAST, 0, deep, 9) is deep


def test_nothing_is_kept_of_a_value_that_has_gone() -> None:
    value = bytearray(VALUE.tobytes())
    wire(sealed(value))
    value.append(0)  # BufferError, if there is a view of it
