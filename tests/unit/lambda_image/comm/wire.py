"""A wire of our own between a writer of frames and a reader, cut wherever we like."""

from collections.abc import Iterable

from lambda_image.comm.channel.frame_reader import FrameReader
from lambda_image.comm.channel.frame_writer import FrameWriter

KEY = b"k" * 16


def write(writer: FrameWriter, *payloads: bytes, meta: bytes = b"", step: int = 1 << 30) -> bytes:
    """The bytes of these payloads' frames, taken from the writer `step` at a time."""
    for number, payload in enumerate(payloads):
        writer.push(number, 7, 1, meta, [memoryview(payload)])
    wire = b""
    while views := writer.buffers():
        piece = b"".join(views)[:step]
        writer.sent(len(piece))
        wire += piece
    assert writer.idle
    return wire


def read(reader: FrameReader, wire: bytes, sizes: Iterable[int] = ()) -> list[bytes]:
    """Feed the wire in pieces of these sizes, then the rest; the payloads that came out so far."""
    at, pieces = 0, iter(sizes)
    while at < len(wire):
        room = reader.buffer()
        part = wire[at : at + min(next(pieces, len(wire)), len(room))]
        room[: len(part)] = part
        reader.received(len(part))
        at += len(part)
    return [bytes(frame.value) for frame in reader.frames if isinstance(frame.value, bytearray)]
