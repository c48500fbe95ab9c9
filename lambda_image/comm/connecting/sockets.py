"""TCP sockets on one local port: a rank's connection to the rendezvous, its listener and its dials all share theirs.

A NAT that maps by the local endpoint then shows one public endpoint for all of them, the one that the rendezvous tells
the peers: that is what makes punching possible. Port 0 gives a port that no other rank gets (the kernel gives none
away twice, though every one of these sockets is willing to share).
"""

import errno
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from lambda_image.process import most_descriptors

NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
BACKLOG = 512  # connections that the kernel holds: all ranks of a large world dial the root at once


@dataclass(frozen=True, slots=True)
class LocalPort:
    """A port that several sockets share. `host` is empty for every address of the host, or a loopback address."""

    family: socket.AddressFamily
    host: str = ""
    port: int = 0
    max_segment: int | None = None  # bytes of a TCP segment, at most; None: what the route gives

    @classmethod
    def of(cls, sock: socket.socket, max_segment: int | None = None) -> "LocalPort":
        """The port of a connected socket, on all addresses of the host.

        If the connection is over loopback, it is on loopback only. The server runs on this very host then, and so do
        all ranks, as is assumed.
        """
        host, port = sock.getsockname()[:2]
        return cls(sock.family, host if ip_address(host.partition("%")[0]).is_loopback else "", port, max_segment)

    def open(self) -> socket.socket:
        """Bound here, not blocking. Raises OSError."""
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            set_options(sock, self.max_segment)
            if self.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((self.host, self.port))
        except BaseException:
            sock.close()
            raise
        return sock

    def listen(self) -> socket.socket:
        sock = self.open()
        try:
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        return sock


def set_options(sock: socket.socket, max_segment: int | None) -> None:
    """To be called before `connect` or `listen`: a segment's size is agreed on with the first packets."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if max_segment is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, max_segment)


def reset(sock: socket.socket) -> None:
    """Close, and have the other end and the kernel forget the connection at once, so that it can be made anew."""
    with suppress(OSError):  # it is as far already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def shortage(allowed: int | None = None) -> str:
    """What a rank says that has no room for one more connection."""
    allowed = most_descriptors() if allowed is None else allowed
    return (
        f"this process may have {allowed:,} file descriptors (RLIMIT_NOFILE) and has no more for connections. Raise "
        "the limit (ulimit -n), or connect it to fewer ranks (gather_width in a run)"
    )


def reason_of(error: Exception) -> str:
    """Why a connection failed: what the system says of an error number, without asyncio's wording and numbers."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
        return shortage()
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or "no answer in time"
