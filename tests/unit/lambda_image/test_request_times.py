import pytest

from lambda_image.request_times import RequestTimes


def test_before_the_first_request_nothing_is_known_but_their_number():
    assert RequestTimes() == RequestTimes(0, 0.0, None, None, None, None)


def test_requests_that_overlap_are_told_by_the_first_sent_and_the_last_answered():
    times = RequestTimes()
    times.add(1000.5, 0.25)
    times.add(1000.0, 2.0)
    times.add(1001.0, 0.5)
    assert times == RequestTimes(3, pytest.approx(2.75), 0.25, 2.0, 1000.0, 1002.0)
