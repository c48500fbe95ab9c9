from rich.console import Console

from scripts.bench.rendezvous.measure import RendezvousResults
from scripts.bench.rendezvous.tables import result_tables
from scripts.series import Series


def test_ratios_stand_below_what_they_compare():
    case = {"in_flight": 2, "silent": 0, "slow": 0, "bytewise": 0}
    results = RendezvousResults(
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
    assert [line.split("│")[5].strip() for line in lines] == ["ours", "other", "ours / other", "ours"]
    assert [line.split("│")[6].strip() for line in lines] == ["6,000", "3,000", "2", "5,000"]
    assert "1.25" in lines[-1]
