"""An address that swallows every packet, as a firewall or a broken IPv6 does."""

import contextlib
import socket
from collections.abc import Iterator

from lambda_image.comm.connecting.racing import Destination


@contextlib.contextmanager
def black_hole(family: socket.AddressFamily = socket.AF_INET) -> Iterator[Destination]:
    """A listener whose queue is full: the kernel drops every SYN that comes."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(family))
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(server.getsockname())
        yield Destination(family, server.getsockname())
