from rich.console import Console

from scripts.bench.formatting import NOTHING
from scripts.bench.inference.contenders import EAGER, FAST, PUBLISHED
from scripts.bench.inference.measure import InferenceResults
from scripts.bench.inference.tables import result_tables
from scripts.series import Series


def shown(results: InferenceResults) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result_tables(results))
    return capture.get().splitlines()


def test_each_contender_has_a_row_at_its_best_batch_size() -> None:
    results = InferenceResults(flops_per_sample=1_000_000_000)
    results.gemm.rounds.append({"gflops": 2000.0})
    for batch, rate in ((64, 500.0), (128, 1000.0)):
        rounds = [{"samples_per_s": rate, "peak_mb": 140.0}]
        results.rates[FAST, batch] = Series({"contender": FAST, "batch_size": batch}, rounds)
    results.rates[EAGER, 64] = Series(
        {"contender": EAGER, "batch_size": 64}, [{"samples_per_s": 250.0, "peak_mb": 9.0}]
    )
    results.cold = {name: Series({}, [{"cold_start_s": 0.25}]) for name in (FAST, EAGER, PUBLISHED)}
    lines = shown(results)
    cells = {words[0]: words for words in ([cell.strip() for cell in line.split("│")[1:-1]] for line in lines) if words}
    assert cells[FAST] == [FAST, "128", "1,000", "50%", "0.25", "140"]
    assert cells[EAGER][1:4] == ["64", "250", "12%"]
    assert cells[PUBLISHED][1:] == [
        NOTHING,
        NOTHING,
        NOTHING,
        "0.25",
        NOTHING,
    ]  # it started, and was not measured further
    assert any("fast to eager" in line and "4.00" in line for line in lines)
    assert any("at most 2,000 samples/s" in line for line in lines)
