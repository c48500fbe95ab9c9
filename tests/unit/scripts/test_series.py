from scripts.series import Series, Spread, spread


def test_the_middle_round_and_the_outermost():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_a_series_sums_up_what_all_its_rounds_have():
    series = Series({"in_flight": 2}, [{"p99_ms": 1.0, "cpu_us": 3.0}, {"p99_ms": 2.0}])
    assert series.figures() == {"p99_ms": Spread(1.5, 1.0, 2.0)}
    assert series.to_json() == {
        "in_flight": 2,
        "figures": {"p99_ms": {"median": 1.5, "low": 1.0, "high": 2.0}},
        "rounds": series.rounds,
    }


def test_a_series_without_rounds_has_no_figures():
    assert Series({}).figures() == {}
