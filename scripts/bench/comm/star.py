"""Blocking TCP sockets from rank 0 to every other rank. They are the bare transport, and the gate of all rounds."""

import select
import socket
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

TIMEOUT_S = 60.0  # for anything between two ranks of one machine, where only a fault takes so long
_HELLO = struct.Struct("!BI")  # which star, and the rank


class Star:
    """One rank's sockets. Rank 0 has one for each other rank, in their order, and another rank has one to rank 0."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.sockets = list(sockets)
        for sock in sockets:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(None)
            set_timeouts(sock)

    def barrier(self, is_root: bool) -> None:
        """Wait until all ranks are here."""
        if is_root:
            for sock in self.sockets:
                sock.recv(1)
            for sock in self.sockets:
                sock.send(b"\0")
        else:
            self.sockets[0].send(b"\0")
            self.sockets[0].recv(1)


def set_timeouts(sock: socket.socket) -> None:
    """Limit how long calls take. The socket stays blocking, whereas `settimeout` would poll before every call."""
    limit = struct.pack("ll", int(TIMEOUT_S), 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, limit)


def meet(rank: int, world_size: int, stars: int, listener: socket.socket | None, port: int) -> list[Star]:
    """Return this rank's ends of so many stars. Rank 0 listens, and the others dial its port."""
    if listener is None:
        ends = []
        for number in range(stars):
            sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
            sock.sendall(_HELLO.pack(number, rank))
            ends.append([sock])
        return [Star(sockets) for sockets in ends]
    listener.settimeout(TIMEOUT_S)
    found: dict[tuple[int, int], socket.socket] = {}
    while len(found) < stars * (world_size - 1):
        sock, _ = listener.accept()
        sock.settimeout(TIMEOUT_S)
        found[_HELLO.unpack(sock.recv(_HELLO.size, socket.MSG_WAITALL))] = sock
    return [Star([found[number, peer] for peer in range(1, world_size)]) for number in range(stars)]


class SocketBackend:
    """The operations as plainly as blocking sockets can do them, into buffers that are used again and again.

    Its style is how rank 0 serves the others, which is in turn, with a thread for each, or as poll names them.
    """

    def __init__(self, star: Star, rank: int, style: str) -> None:
        self._star, self._is_root = star, rank == 0
        serve = {"in turn": self._in_turn, "threads": self._in_threads, "poll": self._polled}[style]
        self._serve = serve
        self._threads = ThreadPoolExecutor(len(star.sockets)) if style == "threads" else None
        self._buffers: dict[int, list[np.ndarray]] = {}

    def barrier(self) -> None:
        self._star.barrier(self._is_root)

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        if not self._is_root:
            self._star.sockets[0].sendall(_bytes(part))
            return None
        buffers = self._buffers_like(part)
        self._serve(buffers, receiving=True)
        return [part, *buffers]

    def bcast(self, value: np.ndarray) -> np.ndarray:
        if self._is_root:
            self._serve([value] * len(self._star.sockets), receiving=False)
            return value
        buffer = self._buffers_like(value)[0]
        _receive(self._star.sockets[0], _bytes(buffer))
        return buffer

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        if not self._is_root:
            self._star.sockets[0].sendall(_bytes(value))
            buffer = self._buffers_like(value)[0]
            _receive(self._star.sockets[0], _bytes(buffer))
            return buffer
        buffers = self._buffers_like(value)
        self._serve(buffers, receiving=True)
        total = buffers[0]
        np.add(value, total, out=total)
        for buffer in buffers[1:]:
            np.add(total, buffer, out=total)
        self._serve([total] * len(buffers), receiving=False)
        return total

    def close(self) -> None:
        for sock in self._star.sockets:
            sock.close()

    def _buffers_like(self, part: np.ndarray) -> list[np.ndarray]:
        if part.nbytes not in self._buffers:
            self._buffers = {part.nbytes: [np.empty_like(part) for _ in self._star.sockets]}
        return self._buffers[part.nbytes]

    def _in_turn(self, arrays: Sequence[np.ndarray], *, receiving: bool) -> None:
        for sock, array in zip(self._star.sockets, arrays, strict=True):
            if receiving:
                _receive(sock, _bytes(array))
            else:
                sock.sendall(_bytes(array))

    def _in_threads(self, arrays: Sequence[np.ndarray], *, receiving: bool) -> None:
        assert self._threads is not None

        def serve(sock: socket.socket, array: np.ndarray) -> None:
            if receiving:
                _receive(sock, _bytes(array))
            else:
                sock.sendall(_bytes(array))

        list(self._threads.map(serve, self._star.sockets, arrays))

    def _polled(self, arrays: Sequence[np.ndarray], *, receiving: bool) -> None:
        poll = select.poll()
        rest = {}
        for sock, array in zip(self._star.sockets, arrays, strict=True):
            poll.register(sock, select.POLLIN if receiving else select.POLLOUT)
            rest[sock.fileno()] = (sock, _bytes(array))
        while rest:
            for fd, _ in poll.poll():
                sock, view = rest[fd]
                if receiving:
                    count = sock.recv_into(view)
                    if not count:
                        raise ConnectionError("the connection ended in the middle")
                else:
                    count = sock.send(view, socket.MSG_DONTWAIT)
                rest[fd] = (sock, view[count:])
                if count == len(view):
                    del rest[fd]
                    poll.unregister(fd)


def _receive(sock: socket.socket, view: memoryview) -> None:
    while view:
        count = sock.recv_into(view)
        if not count:
            raise ConnectionError("the connection ended in the middle")
        view = view[count:]


def _bytes(array: np.ndarray) -> memoryview:
    return array.data.cast("B")
