from rendezvous_server.idleness import LOOKS, Idleness

NOBODY = {"silent": 3, "waiting": 2, "closing": 1, "relaying": 0, "spliced": 0, "member": 0}


def end_of(idleness: Idleness, phases: dict[str, int], now: float) -> float:
    """When a server would end that looks as often as it is told to."""
    while (pause_s := idleness.pause_s(phases, now)) > 0:
        now += pause_s
        assert now < 1e6
    return now


def test_a_server_that_nobody_uses_ends_at_its_time():
    assert end_of(Idleness(600, now=50), NOBODY, 50) == 650  # connections that say nothing are no use


def test_each_use_begins_the_time_anew():
    idleness = Idleness(600, now=0)
    idleness.used(599)
    assert idleness.pause_s(NOBODY, 600) > 0
    assert end_of(idleness, NOBODY, 600) == 1199


def test_a_member_or_a_relay_keeps_it_for_as_long_as_it_is_there():
    for phase in ("member", "relaying", "spliced"):
        idleness, now = Idleness(600, now=0), 0.0
        while now < 5000:
            pause_s = idleness.pause_s({**NOBODY, phase: 1}, now)
            assert 0 < pause_s <= 600 / LOOKS
            now += pause_s
        assert 5000 + 600 - 600 / LOOKS <= end_of(idleness, NOBODY, now) <= 5000 + 600 + 2 * 600 / LOOKS


def test_no_limit_is_no_end():
    assert Idleness(float("inf"), now=0).pause_s(NOBODY, 1e9) == float("inf")
