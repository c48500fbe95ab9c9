"""TCP packets of IPv4 and IPv6 as a TUN device gives them, and what a bad network makes of them. No I/O."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

TCP = 6
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
IPV4_HEADER, IPV6_HEADER, TCP_HEADER = 20, 40, 20
HOP_LIMIT = 64


@dataclass(frozen=True)
class Packet:
    """A packet that carries a segment of a TCP connection, without options where it was made here."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes
    whole: bytes  # with all headers

    @property
    def flow(self) -> frozenset[tuple[str, int]]:
        """Tells the connection, in both directions."""
        return frozenset({(self.source, self.source_port), (self.destination, self.destination_port)})

    def with_payload(self, payload: bytes) -> "Packet":
        """The same packet with another payload of the same length, and the checksum that belongs to it."""
        head = self.whole[: len(self.whole) - len(self.payload)]
        start = _tcp_start(head)
        body = bytearray(head[start:] + payload)
        body[16:18] = bytes(2)
        struct.pack_into("!H", body, 16, _checksum(self.source, self.destination, bytes(body)))
        whole = head[:start] + bytes(body)
        return Packet(
            self.source,
            self.destination,
            self.source_port,
            self.destination_port,
            self.sequence,
            self.acknowledged,
            self.flags,
            payload,
            whole,
        )


def parse(data: bytes) -> Packet | None:
    """Reads a packet, or gives None for what is no TCP."""
    version = data[0] >> 4
    if version == 4 and data[9] == TCP:
        source, destination = data[12:16], data[16:20]
    elif version == 6 and data[6] == TCP:
        source, destination = data[8:24], data[24:40]
    else:
        return None
    start = _tcp_start(data)
    source_port, destination_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", data, start)
    payload = data[start + (offset >> 4) * 4 :]
    hosts = str(ip_address(source)), str(ip_address(destination))
    return Packet(*hosts, source_port, destination_port, sequence, acknowledged, flags, payload, data)


def destination_of(data: bytes) -> str:
    """The address that a packet goes to, of any protocol."""
    return str(ip_address(data[16:20] if data[0] >> 4 == 4 else data[24:40]))


def resets(packet: Packet, passing: int = 0) -> Iterator[Packet]:
    """What becomes of a packet whose connection is reset: its first bytes arrive, and then RST at both ends."""
    sequence = (packet.sequence + passing) % 2**32
    there = (packet.source, packet.destination, packet.source_port, packet.destination_port)
    back = (packet.destination, packet.source, packet.destination_port, packet.source_port)
    if passing:
        yield made(*there, packet.sequence, packet.acknowledged, ACK, packet.payload[:passing])
    yield made(*there, sequence, packet.acknowledged, RST | ACK)
    yield made(*back, packet.acknowledged, (packet.sequence + len(packet.payload)) % 2**32, RST | ACK)


def made(
    source: str,
    destination: str,
    source_port: int,
    destination_port: int,
    sequence: int,
    acknowledged: int,
    flags: int,
    payload: bytes = b"",
) -> Packet:
    """Makes a packet without options."""
    window = 0xFFFF
    fields = source_port, destination_port, sequence, acknowledged, TCP_HEADER // 4 << 4, flags, window, 0, 0
    body = bytearray(struct.pack("!HHIIBBHHH", *fields) + payload)
    struct.pack_into("!H", body, 16, _checksum(source, destination, bytes(body)))
    ends = ip_address(source).packed + ip_address(destination).packed
    if ip_address(source).version == 4:
        head = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, IPV4_HEADER + len(body), 0, 0, HOP_LIMIT, TCP, 0) + ends)
        struct.pack_into("!H", head, 10, _ones_complement(bytes(head)))
    else:
        head = bytearray(struct.pack("!IHBB", 6 << 28, len(body), TCP, HOP_LIMIT) + ends)
    whole = bytes(head + body)
    return Packet(source, destination, source_port, destination_port, sequence, acknowledged, flags, payload, whole)


def _tcp_start(data: bytes) -> int:
    return (data[0] & 0x0F) * 4 if data[0] >> 4 == 4 else IPV6_HEADER


def _checksum(source: str, destination: str, body: bytes) -> int:
    """Of TCP, over the pseudo-header (RFC 9293, 3.1) and `body`, whose own checksum is zero."""
    ends = ip_address(source).packed + ip_address(destination).packed
    return _ones_complement(ends + struct.pack("!II", len(body), TCP) + body)


def _ones_complement(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
