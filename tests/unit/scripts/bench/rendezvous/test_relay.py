"""Streams through two sockets of this process. Those through a server are in tests/integration."""

import socket
from contextlib import closing

import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.rendezvous.relay import raw_ends, stream


def test_what_travels_is_compared():
    with raw_ends() as ends:
        stream(ends, b"content" * 1000, 1_000_000, check=True)
        ends[0].send(b"x")
        with pytest.raises(BenchmarkError, match="other bytes than were sent, between byte 0 and"):
            stream(ends, b"content" * 1000, 100, check=True)


def test_a_stream_that_ends_early():
    with raw_ends() as (one, two), closing(socket.socket()) as unconnected:
        one.sendall(b"some")
        one.shutdown(socket.SHUT_WR)
        with pytest.raises(BenchmarkError, match="the connection ended after 4 of 100 bytes"):
            stream((unconnected, two), b"content", 100)
