import numpy as np

from lambda_image.storage import Requests
from scripts.bench.scale.generated_partition import GeneratedStore
from scripts.bench.scale.run_rank_process import CountedStores, HeldEngine

MAGNITUDES = np.full((4, 5), 20, np.float32)


def test_the_last_batch_is_held_and_no_other():
    held: list[int] = []
    engine = HeldEngine(10, lambda: held.append(1))
    for batch, count in ((MAGNITUDES, 0), (MAGNITUDES, 0), (MAGNITUDES[:2], 1)):
        assert np.array_equal(engine.predict(np.zeros(0), batch), np.full(len(batch), 0.2, np.float32))
        assert len(held) == count
    assert engine.held_cpu_s >= 0


def test_the_time_of_a_held_batch_is_that_of_the_clock():
    times = iter((2.0, 5.5))
    engine = HeldEngine(4, lambda: None, lambda: next(times))
    engine.predict(np.zeros(0), MAGNITUDES)
    assert engine.held_cpu_s == 3.5


def test_a_rank_that_is_not_held_is_answered_at_once():
    assert len(HeldEngine(4, None).predict(np.zeros(0), MAGNITUDES)) == 4


def test_requests_to_both_buckets_are_counted_once():
    stores, requests = CountedStores("sky", 3), Requests()
    assert isinstance(stores.open("sky", requests), GeneratedStore)
    assert not isinstance(stores.open("bench", requests), GeneratedStore)
    requests.count(puts=2, gets=3)
    assert stores.count == 5
