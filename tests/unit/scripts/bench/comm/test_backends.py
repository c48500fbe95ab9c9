"""Which backend a rank gets. What they do is measured, with processes, in tests/integration/test_bench_comm.py."""

import pytest

from scripts.bench.comm.backends import Backend, CommunicatorBackend, GlooBackend, make_backend
from scripts.bench.comm.contenders import RAW_STYLES
from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.star import SocketBackend, Star
from scripts.bench.rendezvous.relay import raw_ends


@pytest.mark.parametrize("contender", RAW_STYLES, ids=lambda contender: contender.style)
def test_raw_sockets_serve_in_every_style(contender) -> None:
    with raw_ends() as (one, _):
        backend = make_backend({"kind": contender.kind, "style": contender.style, "rank": 0}, Star([one]))
        assert isinstance(backend, SocketBackend)
        backend.close()


@pytest.mark.parametrize("backend", [Backend, CommunicatorBackend, GlooBackend, SocketBackend])
def test_every_backend_has_every_operation(backend: type) -> None:
    assert all(callable(getattr(backend, name)) for name in (*OPERATIONS, "close"))
