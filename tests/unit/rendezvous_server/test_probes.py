from rendezvous_server.probes import Probes
from rendezvous_server.protocol import Endpoint

SEEN, LATER = Endpoint("192.0.2.1", 5000), Endpoint("192.0.2.1", 6000)


def test_a_probe_is_found_by_the_connection_whose_nonce_it_had() -> None:
    probes: Probes[str] = Probes()
    probes.expect("one", b"1")
    probes.expect("other", b"2")
    assert probes.note(b"1", SEEN)
    assert probes.take("one") == SEEN
    assert probes.take("other") is None


def test_the_last_of_several_probes_counts() -> None:
    probes: Probes[str] = Probes()
    probes.expect("one", b"1")
    assert probes.note(b"1", SEEN)
    assert probes.note(b"1", LATER)
    assert probes.take("one") == LATER


def test_a_nonce_that_nobody_has_is_refused() -> None:
    probes: Probes[str] = Probes()
    assert not probes.note(b"1", SEEN)
    probes.expect("one", b"1")
    assert not probes.note(b"2", SEEN)


def test_nothing_is_kept_of_a_connection_that_was_taken() -> None:
    probes: Probes[str] = Probes()
    probes.expect("one", b"1")
    probes.note(b"1", SEEN)
    probes.take("one")
    assert not probes.note(b"1", LATER)
    assert probes.take("one") is None
    assert not any(vars(probes).values())
