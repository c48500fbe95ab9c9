import pytest
from rich.console import Console

from scripts.bench.rendezvous.measure import Results
from scripts.bench.rendezvous.tables import in_words, result_tables
from scripts.bench.rounds import Series, Spread


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Spread(16.0, 16.0, 16.0), "16"),
        (Spread(1.234, 0.5, 12.34), "1.23 (0.50-12.3)"),
        (Spread(5214.4, 999.6, 5400.0), "5,214 (1,000-5,400)"),
        (Spread(318_994_112.0, 1e6, 319e6), "318.99 M (1.00 M-319.00 M)"),
    ],
)
def test_figures_in_words(figure: Spread, words: str):
    assert in_words(figure) == words


def test_ratios_stand_below_what_they_compare():
    case = {"in_flight": 2, "silent": 0, "slow": 0}
    results = Results(
        pairing=[
            Series({"server": "ours", **case}, [{"pairings_per_s": 6000.0, "other_work_cores": 0.25}]),
            Series(
                {"server": "ours", **case, "silent": 300},
                [{"pairings_per_s": 5000.0, "p99_to_alone": 1.25, "other_work_cores": 1.5}],
            ),
            Series({"server": "other", **case}, [{"pairings_per_s": 3000.0, "other_work_cores": 0.5}]),
        ],
        pairing_ratios=[Series({"server": "ours / other", **case}, [{"pairings_per_s": 2.0}])],
    )
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result_tables(results))
    assert "Other work took 0.50 cores meanwhile, 1.50 in the busiest round." in capture.get()
    lines = [line for line in capture.get().splitlines() if "│" in line and "o" in line]
    assert [line.split("│")[4].strip() for line in lines] == ["ours", "other", "ours / other", "ours"]
    assert [line.split("│")[5].strip() for line in lines] == ["6,000", "3,000", "2", "5,000"]
    assert "1.25" in lines[-1]
