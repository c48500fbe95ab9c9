import threading

import pytest

from lambda_image.in_order import in_order


def test_results_come_in_the_order_of_the_things():
    first_may_end = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(60)
        else:
            first_may_end.set()
        return number * number

    assert list(in_order(work, range(50), 4)) == [number * number for number in range(50)]


def test_nobody_runs_far_ahead():
    asked: list[int] = []

    def things():
        for number in range(1000):
            asked.append(number)
            yield number

    results = in_order(lambda number: number, things(), 3)
    assert next(results) == 0
    assert len(asked) <= 6
    results.close()


def test_an_error_is_raised_in_its_place():
    results = in_order(lambda number: 6 // number, [3, 2, 0, 1], 2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_is_nothing():
    assert list(in_order(str, [], 2)) == []
