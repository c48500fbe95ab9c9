"""What a server of the pairing dialect must answer, and what is wrong with what it did answer. No I/O, no clock.

Written from the dialect's description and not from the project's own protocol module, so that it judges every server
that claims to speak it. A client connects and sends a name of at most 100 bytes, with no length and no terminator. It
gets 8 bytes at once, its own address as the server sees it: IPv4 address and port in network byte order, 2 bytes of
padding. When a second client has given the same name, each gets the other's address in the same form, and the server
closes both connections.
"""

import socket
import struct

RECORD = struct.Struct("!4sH2x")  # IPv4 address, port, padding
ADDRESS_BYTES = 6  # of a record; what the padding holds says nothing
ANSWER_BYTES = 2 * RECORD.size


def objection(answers: tuple[bytes, bytes], own: tuple[bytes, bytes]) -> str:
    """Return what is wrong with what the two ends of a pairing were answered, or nothing.

    Args:
        answers: All that each end was sent.
        own: The address of each end as it knows it, or nothing where a NAT may have changed it.
    """
    if wrong := [len(answer) for answer in answers if len(answer) != ANSWER_BYTES]:
        return f"an answer of {wrong[0]} bytes, not {ANSWER_BYTES}"
    for answer, other, address in zip(answers, answers[::-1], own, strict=True):
        told = answer[:ADDRESS_BYTES]
        if address and told != address:
            return f"a client at {format_address(address)} was told that it is at {format_address(told)}"
        partner = other[RECORD.size : RECORD.size + ADDRESS_BYTES]
        if partner != told:
            return f"a client at {format_address(told)} was introduced to its partner as {format_address(partner)}"
    return ""


def format_address(address: bytes) -> str:
    """Return six bytes of an answer as host:port."""
    host, port = struct.unpack("!4sH", address)
    return f"{socket.inet_ntoa(host)}:{port}"
