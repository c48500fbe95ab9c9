import os

import pytest

from lambda_image.address import Address
from scripts.bench.errors import BenchmarkError
from scripts.bench.servers import Server, cpu_s, memory_mb, other_server

STAT = "4711 (a ) name) S 1 4711 4711 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0 100 1000 100"
STATUS = "Name:\tpython\nVmHWM:\t   39062 kB\nVmRSS:\t   1000 kB\n"


def test_cpu_time_is_the_processs_own_user_and_system_time():
    assert cpu_s(STAT, 100) == 3.0


def test_sizes_are_in_mb():
    assert memory_mb(STATUS, "VmHWM") == pytest.approx(40.0, abs=0.001)
    with pytest.raises(BenchmarkError, match="nothing about VmPeak"):
        memory_mb(STATUS, "VmPeak")


def test_a_process_that_can_be_looked_at():
    server = Server("this process", "127.0.0.1", 1, os.getpid())
    assert (server.cpu_s() or 0) > 0
    now, most = server.memory_mb()
    assert 0 < now <= most


def test_a_process_that_is_not_there():
    with pytest.raises(BenchmarkError, match="process 99999999 cannot be looked at"):
        other_server(Address("127.0.0.1", 1), 99_999_999)


def test_a_server_elsewhere_has_no_cpu_time():
    server = other_server(Address("localhost", 10_000), None)
    assert (server.name, server.host, server.port, server.cpu_s()) == ("localhost:10000", "127.0.0.1", 10_000, None)


def test_an_address_that_is_none():
    with pytest.raises(BenchmarkError, match=r"\[::1\]:1 has no IPv4 address"):
        other_server(Address("::1", 1), None)
