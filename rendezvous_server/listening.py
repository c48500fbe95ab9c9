"""Opens the sockets on which the server listens, and says which address is not to be had."""

import os
import socket
import sys

# Each socket that listens has a queue of its own for clients that wait to be accepted, and Linux lets a queue hold
# 4,096 (net.core.somaxconn). A client that finds it full tries again a second later, then two more, and may be reset in
# the end. So ranks of the largest group that all come at one moment need several queues.
QUEUES = 4
# A client whose host vanished is noticed in two minutes, and NATs and load balancers on the way remember a quiet one: a
# pairing name may wait, and a relay may carry nothing, for a quarter of an hour.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 3}


def listening_sockets(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Opens QUEUES sockets that all listen on one port, where the system can deal clients out among them.

    Args:
        host: An address of this machine, or a name of one.
        port: The port, or 0 for a free one.
        backlog: Clients that may wait at each of them.

    Raises:
        OSError: The address cannot be listened on. The message names host and port.
    """
    alone = listening_socket(host, port, backlog)  # so that a server that is there already is no secret
    port = alone.getsockname()[1]
    if sys.platform != "linux":  # elsewhere one of them may get all clients
        return [alone]
    alone.close()
    return [listening_socket(host, port, backlog, shared=True) for _ in range(QUEUES)]


def listening_socket(host: str, port: int, backlog: int, *, shared: bool = False) -> socket.socket:
    """Opens a socket that listens. What it accepts inherits KEEPALIVE.

    Args:
        host: An address of this machine, or a name of one.
        port: The port, or 0 for a free one.
        backlog: Clients that may wait until they are accepted.
        shared: Whether further sockets of this user may listen on the same port.

    Raises:
        OSError: The address cannot be listened on. The message names host and port.
    """
    listening = _bound_socket(host, port, backlog, shared)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):  # macOS knows some of them
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return listening


def _bound_socket(host: str, port: int, backlog: int, shared: bool) -> socket.socket:
    try:
        if host == "::":
            return socket.create_server(
                (host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True, reuse_port=shared
            )
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=backlog, reuse_port=shared)
    except OSError as error:
        # Python adds the address to the system's text, though not to that of a host which has no address.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise OSError(f"cannot listen on {host} port {port}: {reason}") from error
    except ValueError as error:  # of create_server, where IPv6 is missing or does not take IPv4 too
        raise OSError(f"cannot listen on {host} port {port}: {error}") from error
