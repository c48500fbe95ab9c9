from collections.abc import Iterator

import pytest

from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.operations.watch import MANY, Watch
from tests.unit.lambda_image.comm.local_group import MakePair, Pair


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    wakeup = Wakeup()
    yield wakeup
    wakeup.close()


@pytest.mark.parametrize("peers", [3, MANY + 3], ids=["few", "many"])
def test_who_is_ready_is_named(make_pair: MakePair, wakeup: Wakeup, peers: int) -> None:
    pairs: list[Pair] = [make_pair() for _ in range(peers)]
    watch = Watch(wakeup)
    for rank, pair in enumerate(pairs):
        watch.add(rank, pair.lower, receiving=True)
    assert watch.wait(0.0) is None
    for rank in (0, peers - 1):
        pairs[rank].higher.push(0, 0, 0, b"part")
        pairs[rank].higher.pump_out()
    assert sorted(watch.wait(30.0) or ()) == [0, peers - 1]
    watch.drop(0)
    assert 0 not in watch
    assert watch.wait(30.0) == [peers - 1]
    watch.add(peers - 1, pairs[-1].lower, receiving=False)
    assert watch.wait(0.0) is None
    pairs[1].lower.end("closed here")
    watch.drop(1)  # of a socket that is closed already
    wakeup.notify()
    assert watch.wait(30.0) is None
    watch.close()


def test_room_to_send_is_waited_for(make_pair: MakePair, wakeup: Wakeup) -> None:
    pair, watch = make_pair(), Watch(wakeup)
    pair.higher.push(0, 0, 0, bytes(8 << 20))
    pair.higher.pump_out()
    watch.add(5, pair.higher, receiving=False)
    assert watch.wait(0.0) is None
    pair.lower.pump_in()
    assert watch.wait(30.0) == [5]
