"""What holds for the list of faults, without a run."""

import random
from importlib import import_module

import pytest

from tests.faults.catalogue import EVERY
from tests.faults.fault import Place
from tests.faults.guards import GUARDS
from tests.faults.network import Carried
from tests.faults.packets import ACK, RST, SYN, made, parse, resets
from tests.faults.pairs import can_meet, pair

FAULTS = [fault for _, fault in EVERY]
HOSTS = ("198.51.100.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")


def test_each_fault_has_a_name_a_deadline_and_a_part_of_the_product_that_it_guards():
    assert [fault.name for fault in FAULTS] == list(dict.fromkeys(fault.name for fault in FAULTS))
    assert {fault.name for fault in FAULTS} == GUARDS.keys()
    assert all(0 < fault.deadline_s <= 60 for fault in FAULTS)


@pytest.mark.parametrize("part", sorted(set(GUARDS.values())))
def test_what_is_guarded_exists(part: str):
    names = part.split(".")
    found, rest = None, names
    for length in range(len(names), 0, -1):
        try:
            found, rest = import_module(".".join(names[:length])), names[length:]
            break
        except ModuleNotFoundError:
            continue
    for name in rest:
        found = getattr(found, name)
    assert found is not None


def test_a_seed_draws_the_same_two_faults_each_time():
    for seed in range(200):
        one, other = pair(seed)
        assert (one, other) == pair(seed)
        assert one != other
        assert can_meet(one, other)
        assert not one.alone
        assert not other.alone


def test_every_fault_that_can_meet_others_is_drawn():
    drawn = {fault.name for seed in range(200) for fault in pair(seed)}
    assert drawn == {fault.name for fault in FAULTS if not fault.alone}
    assert {pair(seed)[0].place for seed in range(200)} == {Place.LOOPBACK, Place.HOSTS}


@pytest.mark.parametrize(("one", "other"), HOSTS)
def test_a_packet_is_read_as_it_was_made_and_keeps_its_checksum_where_its_payload_is_changed(one: str, other: str):
    payload = random.Random(1).randbytes(1001)
    packet = made(one, other, 1000, 2000, 7, 9, ACK, payload)
    assert parse(packet.whole) == packet
    changed = packet.with_payload(bytes(1001))
    assert changed == made(one, other, 1000, 2000, 7, 9, ACK, bytes(1001))


@pytest.mark.parametrize(("one", "other"), HOSTS)
def test_a_reset_fits_what_either_end_waits_for(one: str, other: str):
    packet = made(one, other, 1000, 2000, 7, 9, ACK, b"part of a frame")
    first, there, back = resets(packet, passing=4)
    assert (first.payload, first.sequence) == (b"part", 7)
    assert (there.source, there.sequence, there.flags & RST) == (one, 11, RST)
    assert (back.source, back.sequence, back.flags & RST) == (other, 9, RST)


@pytest.mark.parametrize("first", [0, 7, 2**32 - 1, 2**32 - 900])
def test_bytes_of_a_connection_count_once_however_often_they_are_sent(first: int):
    one, other = HOSTS[0]
    carried = Carried()

    def sent(place: int, size: int, flags: int = ACK) -> int:
        return carried.add(made(one, other, 1000, 2000, (first + place) % 2**32, 9, flags, bytes(size)))

    assert sent(0, 0, SYN) == 0
    assert [sent(1, 1000), sent(1001, 500), sent(1001, 500), sent(1, 1000)] == [1000, 1500, 1500, 1500]
    back = made(other, one, 2000, 1000, 9, 7, ACK, bytes(20))
    assert carried.add(back) == 1500  # that of the direction which has carried more
    assert sent(1501, 100) == 1600
    first += 5_000_000  # the port is used again
    assert sent(0, 0, SYN) == 20
    assert sent(1, 300) == 300
