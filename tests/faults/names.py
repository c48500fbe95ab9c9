"""Faults of name resolution on the ranks' hosts, where the test's own resolver answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.faults.bed import Bed
from tests.faults.fault import Injection
from tests.faults.network import on_hosts, reach_of
from tests.faults.reach import NAME, PORT, SERVER_HOST
from tests.faults.segment import NETWORK_4, NETWORK_6

Given = Iterator[Mapping[str, Any]]
NOBODY = 99  # a host that is not there, so that what is sent to it is lost
NO_RESOLVER = "nameserver 127.0.0.2\n"  # where nobody listens
BY_NAME = {"rendezvous_endpoint": f"{NAME}:{PORT}"}


def unknown(bed: Bed) -> list[str] | None:
    return None


def resolved(addresses: Any) -> Injection:
    """The server's name stands for what `addresses` gives of a bed, None for nothing at all."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        found = addresses(bed)
        reach_of(bed).names.addresses = {} if found is None else {NAME: found}
        yield BY_NAME

    return inject


@contextmanager
def absent(bed: Bed) -> Given:
    reach_of(bed).resolver_file.write_text(NO_RESOLVER)
    yield BY_NAME


@contextmanager
def mute(bed: Bed) -> Given:
    reach_of(bed).names.mute = True
    yield BY_NAME


def several(bed: Bed) -> list[str]:
    server = reach_of(bed).segment.hosts[SERVER_HOST]
    return [NETWORK_4.format(NOBODY), NETWORK_6.format(NOBODY), server.address]


def ipv6_only(bed: Bed) -> list[str]:
    return [reach_of(bed).segment.hosts[SERVER_HOST].address_6]


FAULTS = (
    on_hosts("the server's name is unknown", "NXDOMAIN", 30, resolved(unknown), named=rf"{NAME}:{PORT}"),
    on_hosts(
        "there is no name server", "/etc/resolv.conf names an address without one", 30, absent, named=rf"{NAME}:{PORT}"
    ),
    on_hosts("the name server says nothing", "it reads questions and answers none", 50, mute, named=rf"{NAME}:{PORT}"),
    on_hosts(
        "the server's name has several addresses",
        "the first of IPv4 and of IPv6 swallow every packet",
        20,
        resolved(several),
        named="3 direct",
    ),
    on_hosts("the server's name has an IPv6 address only", "AAAA", 20, resolved(ipv6_only), named="3 direct"),
)
