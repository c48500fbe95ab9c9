from scripts.bench.other_work import OtherWork, busy_s


def test_cores_are_busy_with_everything_but_waiting():
    assert busy_s("cpu  100 20 30 999 888 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 100) == 1.65


def test_other_work_is_what_is_neither_ours_nor_measured():
    cores = OtherWork(lambda: 0.0).cores()
    assert cores is not None
    assert cores >= 0


def test_other_work_is_unknown_where_the_measured_is():
    assert OtherWork(lambda: None).cores() is None
