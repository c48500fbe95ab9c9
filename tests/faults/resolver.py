"""A name server of the test's own, in a network namespace, where it can have the port that resolvers ask.

It knows the names that it is given, answers that there are no others, or says nothing at all.
"""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from tests.network.namespace import Namespace, enter, in_a_thread

ADDRESS = "127.0.0.1"
PORT = 53
CONFIGURATION = f"nameserver {ADDRESS}\n"  # what /etc/resolv.conf must hold
HEADER = struct.Struct("!6H")
TYPES = {4: 1, 6: 28}  # A and AAAA
INTERNET = 1
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183  # flags of RFC 1035, 4.1.1
TTL_S = 1


@dataclass
class Names:
    """What the resolver knows, which a test may change while it runs.

    Attributes:
        addresses: Of each name, in this order.
        mute: Whether it reads questions and answers none.
    """

    addresses: Mapping[str, Sequence[str]]
    mute: bool = False


@contextmanager
def resolving(namespaces: Sequence[Namespace], names: Names) -> Iterator[None]:
    """Answers the questions of all processes in these namespaces."""
    with ExitStack() as stack:
        for place in namespaces:
            sock = stack.enter_context(in_a_thread(partial(_bound, place.path)))
            thread = threading.Thread(target=_serve, args=(sock, names), name="resolver", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(_end, sock)
        yield


def answer(question: bytes, addresses: Mapping[str, Sequence[str]]) -> bytes:
    """The answer to one question, by what is known."""
    number, *_ = HEADER.unpack_from(question)
    name, end = _name(question, HEADER.size)
    kind, _ = struct.unpack_from("!2H", question, end)
    asked = question[HEADER.size : end + 4]
    known = addresses.get(name.lower())
    if known is None:
        return HEADER.pack(number, NO_SUCH_NAME, 1, 0, 0, 0) + asked
    found = [ip_address(address) for address in known]
    wanted = [address.packed for address in found if TYPES[address.version] == kind]
    rows = [
        struct.pack("!HHHIH", 0xC000 | HEADER.size, kind, INTERNET, TTL_S, len(packed)) + packed for packed in wanted
    ]
    return HEADER.pack(number, ANSWER, 1, len(rows), 0, 0) + asked + b"".join(rows)


def _name(message: bytes, start: int) -> tuple[str, int]:
    labels = []
    while length := message[start]:
        labels.append(message[start + 1 : start + 1 + length].decode())
        start += 1 + length
    return ".".join(labels), start + 1


def _bound(namespace: str) -> socket.socket:
    enter(namespace)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ADDRESS, PORT))
    return sock


def _serve(sock: socket.socket, names: Names) -> None:
    while True:
        question, sender = sock.recvfrom(512)
        if not question:
            return
        if not names.mute:
            sock.sendto(answer(question, names.addresses), sender)


def _end(sock: socket.socket) -> None:
    sock.sendto(b"", sock.getsockname())
