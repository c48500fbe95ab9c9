"""Opens the sockets on which the server listens, and says which address is not to be had."""

import os
import socket

# A client whose host vanished is noticed in two minutes, and NATs and load balancers on the way remember a quiet one: a
# pairing name may wait, and a relay may carry nothing, for a quarter of an hour.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 3}


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """Opens a socket that listens. What it accepts inherits KEEPALIVE.

    Raises:
        OSError: The address cannot be listened on. The message names host and port.
    """
    listening = _bound_socket(host, port, backlog)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):  # macOS knows some of them
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return listening


def _bound_socket(host: str, port: int, backlog: int) -> socket.socket:
    try:
        if host == "::":
            return socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=backlog)
    except OSError as error:
        # Python adds the address to the system's text, though not to that of a host which has no address.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise OSError(f"cannot listen on {host} port {port}: {reason}") from error
    except ValueError as error:  # of create_server, where IPv6 is missing or does not take IPv4 too
        raise OSError(f"cannot listen on {host} port {port}: {error}") from error
