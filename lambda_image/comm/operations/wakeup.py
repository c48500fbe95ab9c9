"""How the background thread wakes the caller's, which waits in `poll`."""

import socket
from contextlib import suppress


class Wakeup:
    """Makes a `poll` in one thread return because of what another thread did."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        return self._read.fileno()

    def notify(self) -> None:
        with suppress(OSError):  # full: the reader is being woken anyway; closed: there is none any more
            self._write.send(b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while self._read.recv(4096):
                pass

    def close(self) -> None:
        self._read.close()
        self._write.close()
