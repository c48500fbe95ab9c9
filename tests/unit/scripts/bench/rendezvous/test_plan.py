from scripts.bench.rendezvous.pairing import PairingCase
from scripts.bench.rendezvous.plan import QUICK, RendezvousPlan
from scripts.bench.rendezvous.shapes import Shape

BOTH = ("pairing", "crowd")


def test_no_crowd_comes_before_everything_has_been_measured_without():
    rounds = list(RendezvousPlan().pairing_rounds(BOTH))
    first_crowd = next(number for number, cases in enumerate(rounds) if len(cases) > 1)
    assert rounds[:first_crowd] == [[PairingCase(in_flight)] for in_flight in (2, 50, 200) for _ in range(5)]
    assert all(len(cases) == 5 for cases in rounds[first_crowd:])


def test_every_crowd_has_its_neighbour_without():
    for cases in RendezvousPlan().pairing_rounds(BOTH):
        assert not cases[0].crowded
        assert all(case.crowded and case.in_flight == cases[0].in_flight for case in cases[1:])


def test_without_crowds_nothing_is_measured_twice():
    assert list(RendezvousPlan(rounds=1, in_flight=(2, 50), crowds=()).pairing_rounds(BOTH)) == [
        [PairingCase(2)],
        [PairingCase(50)],
    ]


def test_crowds_can_be_measured_alone_or_left_out():
    both = list(RendezvousPlan().pairing_rounds(BOTH))
    alone, crowded = (list(RendezvousPlan().pairing_rounds([part])) for part in BOTH)
    assert both == alone + crowded
    assert list(RendezvousPlan().pairing_rounds(["group"])) == []


def test_every_world_in_every_shape():
    assert set(QUICK.groups()) == {(shape, size) for shape in Shape for size in (4, 64, 512)}


def test_steps_are_rounds():
    plan = RendezvousPlan(rounds=2, in_flight=(2, 50), crowds=((300, 0, 0),), worlds=(4,))
    bare = 2 * 2  # of uvloop, without a crowd
    assert plan.steps(BOTH, servers=1) == 2 * 2 + 2 * 2 * 2 + bare
    assert plan.steps(BOTH, servers=2) == 2 * (2 * 2 + 2 * 2 * 2) + bare
    assert plan.steps(["group"], servers=2) == 2 * 3
    assert plan.steps(["group"], servers=2, checkouts=2) == 2 * plan.steps(["group"], servers=2)
    assert plan.steps(["relay"], servers=2) == 2
    assert plan.steps([*BOTH, "group", "relay"], servers=1) == 16 + 6 + 2
