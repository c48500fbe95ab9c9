import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lambda_image.address import Address
from lambda_image.comm.connecting.mappings import Mapping, Sighting, mapping_of, sightings
from rendezvous_server.protocol import Endpoint, pairing_address

LOCAL = "10.0.0.5:4000"


@contextmanager
def server(answer: bytes | None = None) -> Iterator[tuple[Address, list[bytes]]]:
    """Answers each name with the client's address, or with `answer`, and keeps the names."""
    names: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                client, address = listening.accept()
            except OSError:
                return
            with client:
                names.append(client.recv(100))
                client.sendall(pairing_address(Endpoint(*address[:2])) if answer is None else answer)
                if answer is None:
                    client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listening.getsockname()[1]), names
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_all_servers_are_asked_from_one_port():
    with ExitStack() as stack:
        servers = [stack.enter_context(server()) for _ in range(3)]
        found = sightings([address for address, _ in servers], 10.0)
    assert {one.local for one in found} == {found[0].local}
    assert all(one.observed == one.local and one.error is None for one in found)
    assert [one.server for one in found] == [str(address) for address, _ in servers]
    names = [name for _, heard in servers for name in heard]
    assert len(set(names)) == 3  # nobody is paired with himself
    assert all(len(name) == 32 for name in names)
    assert mapping_of(found) is Mapping.NONE


def test_a_server_that_does_not_answer_costs_no_other():
    ssh = b"SSH-2.0-OpenSSH"
    with socket.socket() as nobody, server() as (good, _), server(b"HTTP") as (short, _), server(ssh) as (other, _):
        nobody.bind(("127.0.0.1", 0))  # and does not listen: the port is nobody else's meanwhile
        found = sightings([Address(*nobody.getsockname()), short, other, good], 60.0)
    assert [one.error for one in found] == [
        "Connection refused",
        "it closed without an answer, and so is no rendezvous server",
        "what it answers shows that it is no rendezvous server",
        None,
    ]
    assert found[3].observed is not None
    [nameless] = sightings([Address("a..b", 1)], 1.0)
    assert nameless.error


def seen(server: str, observed: str | None) -> Sighting:
    return Sighting(server, LOCAL, observed)


@pytest.mark.parametrize(
    ("observed", "mapping"),
    [
        ({}, Mapping.UNKNOWN),
        ({"a:1": None, "b:1": None}, Mapping.UNKNOWN),
        ({"a:1": LOCAL}, Mapping.NONE),
        ({"a:1": LOCAL, "b:1": None}, Mapping.NONE),
        ({"a:1": "x:7"}, Mapping.UNKNOWN),
        ({"a:1": "x:7", "a:2": "x:7"}, Mapping.UNKNOWN),  # which one address cannot tell
        ({"a:1": "x:7", "b:1": "x:7"}, Mapping.ENDPOINT_INDEPENDENT),
        ({"a:1": "x:7", "a:2": "x:7", "b:1": "x:8", "b:2": "x:8"}, Mapping.ADDRESS_DEPENDENT),
        ({"a:1": "x:7", "b:1": "y:7"}, Mapping.ADDRESS_DEPENDENT),
        ({"a:1": "x:7", "a:2": "x:8"}, Mapping.ADDRESS_AND_PORT_DEPENDENT),
        ({"a:1": "x:7", "b:1": "x:9", "b:2": "x:8"}, Mapping.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_what_servers_see_tells_the_mapping(observed: dict[str, str | None], mapping: Mapping):
    assert mapping_of([seen(server, endpoint) for server, endpoint in observed.items()]) is mapping
