import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from scripts.bench.comm.star import SocketBackend, Star, meet

WORLD = 3


def stars(count: int = 1) -> list[list[Star]]:
    """Each rank's ends of so many stars, by rank."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(WORLD) as pool:
        port = listener.getsockname()[1]
        given = [(rank, WORLD, count, None if rank else listener, port) for rank in range(WORLD)]
        return list(pool.map(lambda one: meet(*one), given))


@pytest.fixture(params=["in turn", "threads", "poll"])
def backends(request: pytest.FixtureRequest) -> Iterator[list[SocketBackend]]:
    made = [SocketBackend(ends[0], rank, request.param) for rank, ends in enumerate(stars())]
    yield made
    for backend in made:
        backend.close()


def together(backends: list[SocketBackend], work: Callable[[int, SocketBackend], Any]) -> list[Any]:
    with ThreadPoolExecutor(WORLD) as pool:
        return list(pool.map(work, range(WORLD), backends))


@pytest.mark.parametrize("size", [1, 300_000])  # more than a socket's buffers hold
def test_each_operation_gives_what_it_is_called_for(backends: list[SocketBackend], size: int) -> None:
    values = [np.full(size, rank + 1, np.float32) for rank in range(WORLD)]

    def work(rank: int, backend: SocketBackend) -> tuple[Any, np.ndarray, np.ndarray]:
        backend.barrier()
        gathered = backend.gather(values[rank])
        return (
            None if gathered is None else [part.copy() for part in gathered],
            backend.bcast(values[rank]).copy(),
            backend.allreduce(values[rank]).copy(),
        )

    results = together(backends, work)
    assert [gathered for gathered, _, _ in results[1:]] == [None, None]
    np.testing.assert_array_equal(results[0][0], values)
    for _, broadcast, total in results:
        np.testing.assert_array_equal(broadcast, values[0])
        np.testing.assert_array_equal(total, sum(values))


def test_a_rank_has_its_own_end_of_each_star() -> None:
    ends = stars(2)
    assert [[len(star.sockets) for star in of_rank] for of_rank in ends] == [[2, 2], [1, 1], [1, 1]]
    for star in range(2):
        for rank in (1, 2):
            ends[0][star].sockets[rank - 1].sendall(bytes([star, rank]))
            assert ends[rank][star].sockets[0].recv(2) == bytes([star, rank])
    for of_rank in ends:
        for star in of_rank:
            for sock in star.sockets:
                sock.close()


@pytest.mark.parametrize("backends", ["in turn", "poll"], indirect=True)
def test_a_connection_that_ends_is_an_error_and_no_result(backends: list[SocketBackend]) -> None:
    for backend in backends[1:]:
        backend.close()
    with pytest.raises(ConnectionError):
        backends[0].gather(np.zeros(10, np.float32))
