import pytest

from lambda_image.comm.connecting.backoff import Backoff


def test_pauses_double_up_to_the_limit() -> None:
    backoff = Backoff(first_s=0.1, longest_s=2.0)
    pauses = [backoff.pause_s(failed) for failed in range(1, 8)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert backoff.pause_s(10**9) == 2.0


def test_a_pause_is_drawn_from_the_range_around_it() -> None:
    backoff = Backoff(first_s=1.0, longest_s=4.0, jitter=(0.5, 1.5))
    assert [backoff.pause_s(3, draw) for draw in (min, max)] == [2.0, 6.0]
    drawn = {backoff.pause_s(1) for _ in range(100)}
    assert len(drawn) > 90
    assert all(0.5 <= pause <= 1.5 for pause in drawn)
