"""Every parser that faces the network or files, as a function of bytes. It may refuse them only as its callers expect.

Anything else that is raised, a hang and memory without bound are findings.
"""

import contextlib
import io
import json
from collections.abc import Callable

from lambda_image.bundle import unbundle
from lambda_image.comm.channel.cipher import CIPHER_KEY_BYTES, Cipher
from lambda_image.comm.channel.frame_reader import FrameReader
from lambda_image.comm.channel.frames import (
    HEADER_BYTES,
    SEALED_RECORD_BYTES,
    WHOLE_BYTES,
    FrameRefused,
    Header,
    record_bytes,
)
from lambda_image.comm.channel.handshake import Handshake, HandshakeRefused, Member
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import Sealing
from lambda_image.comm.channel.signals import Kind, parse_abort
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.channel.values import allocate
from lambda_image.data.byte_source import MemorySource
from lambda_image.data.inert_pickle import ArchiveError, Interpreter
from lambda_image.data.partition import open_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.torch_archive import StoredTensor, TorchArchive
from lambda_image.errors import InvalidEvent, PartitionMalformed
from lambda_image.events import parse
from lambda_image.manifest import Assignment, Run
from lambda_image.results import unpack
from lambda_image.summary import message_of
from rendezvous_server import protocol
from rendezvous_server.protocol import (
    ClientConnection,
    Endpoint,
    Join,
    JoinRequested,
    ProbeConnection,
    ProbeOffered,
    Relay,
    RelayConnection,
    RemoteProtocolError,
    ServerConnection,
)
from rendezvous_server.proxy_protocol import ProxyHeader
from tests.fuzz.files import TARGETS as OF_FILES
from tests.fuzz.objects import TARGETS as OF_OBJECTS

KEY, NONCE, SEEN = bytes(32), bytes(16), Endpoint("203.0.113.9", 4321)
CIPHER_KEY = bytes(CIPHER_KEY_BYTES)
PEER = Member(0, 0)
MAX_PAYLOAD = 1 << 18  # several records
Feed = Callable[[bytes], object]


def in_pieces(feed: Feed, data: bytes) -> None:
    """The first byte says how the rest is cut, as a network cuts it."""
    size = data[0] + 1 if data else 1
    for start in range(1, len(data), size):
        feed(data[start : start + size])


def server(data: bytes, key: bytes | None) -> None:
    connection = ServerConnection(key, lambda: NONCE, SEEN, 1)

    def feed(piece: bytes) -> None:
        for event in connection.receive_data(piece):
            if isinstance(event, JoinRequested):
                connection.accept(60.0, 5.0)
        connection.data_to_send()

    with contextlib.suppress(RemoteProtocolError):
        in_pieces(feed, data)


def rendezvous_server(data: bytes) -> None:
    server(data, None)


def rendezvous_server_with_key(data: bytes) -> None:
    server(data, KEY)


def pairing(data: bytes) -> None:
    """The dialect of clients that send a name, and never a frame."""
    server(data[:1] + b"name" + data[1:], None)


def rendezvous_client(data: bytes) -> None:
    connections = (
        ClientConnection(Join("run", 1, 4), KEY, probe_from=SEEN),
        RelayConnection(Relay("run", 1, 0, 2, 0), KEY),
        ProbeConnection(NONCE),
    )
    for connection in connections:

        def feed(piece: bytes, connection: protocol.ClientConnection = connection) -> None:  # type: ignore[assignment]
            for event in connection.receive_data(piece):
                if isinstance(event, ProbeOffered):
                    connection.proceed()
            connection.data_to_send()

        with contextlib.suppress(RemoteProtocolError):
            in_pieces(feed, data)
        connection.receive_eof()


def proxy_protocol(data: bytes) -> None:
    header = ProxyHeader()
    with contextlib.suppress(RemoteProtocolError):
        in_pieces(lambda piece: None if header.complete else header.feed(piece), data)


def frames(data: bytes) -> None:
    in_pieces_to_reader(None, data)


def encrypted_frames(data: bytes) -> None:
    """What one without the key may send: nothing of it is ever given out."""
    assert not in_pieces_to_reader(CIPHER_KEY, data)


def sealed_frames(data: bytes) -> None:
    """What one with the key may send: headers and contents of any kind, and records of any size."""
    cipher, wire, at = Cipher(CIPHER_KEY), data[:1], 1
    while len(header := data[at : at + HEADER_BYTES]) == HEADER_BYTES:
        at += HEADER_BYTES
        _, _, _, meta_length, length = Header.unpack(header)
        whole = meta_length + length <= WHOLE_BYTES
        content = data[at : at + meta_length + (length if whole else 0)]
        at += len(content)
        wire += header + cipher.seal(content, header)
        if not whole:
            payload = data[at : at + length]
            at += len(payload)
            size = record_bytes(length)
            for start in range(0, len(payload), size):
                wire += cipher.seal(payload[start : start + size], header)
    in_pieces_to_reader(CIPHER_KEY, wire)


def values_for_all(data: bytes) -> None:
    """What one with the run's key may send sealed for all ranks: any seal, on a header and payload of any kind."""
    channel, sealing = Cipher(CIPHER_KEY), Sealing(KEY, PEER, Memory())
    wire, at = data[:1], 1
    while len(header := data[at : at + HEADER_BYTES]) == HEADER_BYTES:
        at += HEADER_BYTES
        said = Header.unpack(header)
        meta = data[at : at + said.meta_length]
        payload = data[at + len(meta) : at + len(meta) + min(said.length, len(data))]
        at += len(meta) + len(payload)
        wire += header + channel.seal(meta, header)
        try:
            opening = sealing.open(said, header, meta, PEER)
        except FrameRefused:
            wire += payload
            continue
        for start in range(0, len(payload), SEALED_RECORD_BYTES):
            wire += opening.cipher.seal(payload[start : start + SEALED_RECORD_BYTES], opening.associated)
    in_pieces_to_reader(CIPHER_KEY, wire)


def in_pieces_to_reader(key: bytes | None, data: bytes) -> int:
    """How many frames come out."""
    sealing = Sealing(KEY, Member(1, 0), Memory())
    sealing.passed_on = 1, int(Kind.BCAST)
    reader = FrameReader(
        key,
        allocate=lambda header, meta: allocate(meta, header.length),
        max_payload=MAX_PAYLOAD,
        sealing=(sealing, PEER),
    )
    taken = 0

    def feed(piece: bytes) -> None:
        nonlocal taken
        while piece:
            buffer = reader.buffer()
            count = min(len(buffer), len(piece))
            buffer[:count] = piece[:count]
            reader.received(count)
            piece = piece[count:]
        taken += len(reader.frames)
        reader.frames.clear()

    with contextlib.suppress(FrameRefused):
        in_pieces(feed, data)
    return taken


def values(data: bytes) -> None:
    with contextlib.suppress(FrameRefused):
        allocate(data[2:], int.from_bytes(data[:2], "big"))


def aborts(data: bytes) -> None:
    parse_abort(data)


def handshake(data: bytes) -> None:
    for way in (None, (Transport.DIRECT, Member(0, 0))):
        talk = Handshake(KEY, Member(1, 0), way=way, encrypted=True, probe=bool(data[:1]), nonce=NONCE)
        if talk.dials:
            talk.greet()
        rest = data
        with contextlib.suppress(HandshakeRefused):
            while talk.wanted and len(rest) >= talk.wanted:
                piece, rest = rest[: talk.wanted], rest[talk.wanted :]
                talk.feed(piece)


def partition(data: bytes) -> None:
    """Either format, from memory and as a stream."""
    for content in (data, io.BytesIO(data)):
        with contextlib.suppress(PartitionMalformed):
            for _ in open_partition(content).images(8):
                pass


def pickles(data: bytes) -> None:
    with contextlib.suppress(ArchiveError):
        Interpreter(data).run()


def archives(data: bytes) -> None:
    with contextlib.suppress(ArchiveError):
        archive = TorchArchive(MemorySource(data))
        if isinstance(archive.root, StoredTensor):
            archive.array(archive.root)


def of_json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def manifest(data: bytes) -> None:
    for read in (Assignment.from_json, Run.from_json):
        with contextlib.suppress(InvalidEvent):
            read(of_json(data))


def events(data: bytes) -> None:
    with contextlib.suppress(InvalidEvent):
        parse(of_json(data), "arn:aws:states:us-east-1:123456789012:execution:redshift:x")


def causes(data: bytes) -> None:
    message_of(data.decode("utf-8", "replace"))


def bundles(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        unbundle(data)


def parts(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        unpack(data)


def tables(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        Predictions.from_parquet(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        rendezvous_server,
        rendezvous_server_with_key,
        pairing,
        rendezvous_client,
        proxy_protocol,
        frames,
        encrypted_frames,
        sealed_frames,
        values_for_all,
        values,
        aborts,
        handshake,
        partition,
        pickles,
        archives,
        manifest,
        events,
        causes,
        bundles,
        parts,
        tables,
        *OF_FILES,
        *OF_OBJECTS,
    )
}
