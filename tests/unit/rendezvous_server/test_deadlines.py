from math import inf

from rendezvous_server.deadlines import Deadlines


def test_what_was_added_first_falls_due_first() -> None:
    deadlines: Deadlines[str] = Deadlines(10)
    assert deadlines.next() == inf
    assert deadlines.add("a", 0) == 10
    deadlines.add("b", 1)
    deadlines.add("c", 2)
    deadlines.renew("a", 3)
    assert deadlines.next() == 11
    assert (deadlines.remaining("a", 4), deadlines.remaining("a", 20), deadlines.remaining("d", 4)) == (9, 0, 0)
    assert deadlines.due(12) == ["b", "c"]
    assert list(deadlines.take_due(11)) == ["b"]
    assert [deadlines.discard("c"), deadlines.discard("c")] == [True, False]
    assert list(deadlines.take_due(inf)) == ["a"]
    assert len(deadlines) == 0
