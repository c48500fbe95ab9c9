"""PROXY protocol version 2, as load balancers speak it: bytes in, the client's endpoint out. No I/O.

A load balancer that ends the client's connection puts a header before the client's bytes: signature (12 bytes), version
and command (1), family and transport (1), length of the rest (2), addresses and ports of source and destination, and
extensions, which are of no use here. The specification is proxy-protocol.txt of HAProxy.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

from rendezvous_server.protocol import Endpoint, RemoteProtocolError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_BODY = 4_096  # bytes: addresses have 36, and balancers add some hundreds of extensions

_FIXED = struct.Struct("!12sBBH")  # signature, version and command, family and transport, length of the rest
_VERSION = 2
_LOCAL, _PROXY = 0, 1  # commands: the balancer's own connection (a health check), somebody's
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21  # families and transports
_ADDRESSES = {_TCP4: struct.Struct("!4s4sHH"), _TCP6: struct.Struct("!16s16sHH")}  # source, destination, their ports


class ProxyHeader:
    """Reads the header that a load balancer puts before a client's bytes.

    Once `complete` is true, `client` is the endpoint that connected to the load balancer. None stands for the balancer
    itself, which checks the server's health.
    """

    def __init__(self) -> None:
        self.complete = False
        self.client: Endpoint | None = None
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """Takes bytes, and returns those behind the header, which are the client's.

        Raises:
            RemoteProtocolError: The bytes do not start with such a header.
        """
        self._buffer += data
        buffer = self._buffer
        if buffer[: len(SIGNATURE)] != SIGNATURE[: len(buffer)]:
            raise RemoteProtocolError("no PROXY protocol header of version 2, which this server is set to expect")
        if len(buffer) < _FIXED.size:
            return b""
        _, version_command, kind, size = _FIXED.unpack_from(buffer)
        version, command = version_command >> 4, version_command & 15
        if version != _VERSION or command not in (_LOCAL, _PROXY) or size > MAX_BODY:
            was = f"version {version}, command {command}, {size} bytes"
            raise RemoteProtocolError(f"a PROXY protocol header of {was}; known are version 2, 0 and 1, {MAX_BODY}")
        end = _FIXED.size + size
        if len(buffer) < end:
            return b""
        if command == _PROXY:
            self.client = _source(kind, buffer[_FIXED.size : end])
        self.complete = True
        self._buffer = b""
        return buffer[end:]


def _source(kind: int, body: bytes) -> Endpoint | None:
    if kind == _UNSPECIFIED:
        return None
    addresses = _ADDRESSES.get(kind)
    if addresses is None or len(body) < addresses.size:
        raise RemoteProtocolError(
            f"a PROXY protocol header of kind 0x{kind:02x} and {len(body)} bytes; TCP is expected"
        )
    source, _, port, _ = addresses.unpack_from(body)
    return Endpoint.from_sockaddr((str(IPv4Address(source) if kind == _TCP4 else IPv6Address(source)), port))
