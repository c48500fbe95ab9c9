import re
from dataclasses import replace

import numpy as np
from rich.console import Console

from lambda_image.manifest import Slice
from lambda_image.summary import Failure
from scripts.runs.tables import error_bars, run_tables
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions


def shown(summary, records, width: int = 110) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(run_tables(summary.to_json(), records))
    return console.export_text()


def figures(text: str) -> dict[str, str]:
    """The lines below the table of ranks, by their names."""
    return dict(re.split("  +", line.strip(), maxsplit=1) for line in text.splitlines() if re.match(r" \S.*\S  ", line))


def test_a_run_in_a_table():
    records = [record(0, transport="self"), record(1)]
    text = shown(summarise(manifest(), records, predictions(20)), records)
    for words in (
        "run run-1: succeeded",
        "direct",
        "1 direct, 1 self",
        "20 in 2 of 2 partitions",
        "4 samples/s",
        "USD",
    ):
        assert words in text


def test_failed_ranks_and_unknown_accuracy_are_said():
    lost = Failure(1, "PartitionMissing", "s3://b/d/1.pt does not exist")
    text = shown(summarise(manifest(), [record(0)], predictions(0), [lost]), [record(0)])
    assert "0 in 1 of 2 partitions" in text
    assert "rank 1: PartitionMissing: s3://b/d/1.pt does not exist" in text
    assert "unknown (no true redshifts)" in text


def test_of_a_failed_run_over_one_dataset_the_rows_with_predictions_are_said():
    dealt = [[Slice("d/all.pt", (0, 10))], [Slice("d/all.pt", (10, 2000))]]
    items = [replace(item, partitions=tuple(share)) for item, share in zip(manifest(), dealt, strict=True)]
    summary = summarise(items, [record(0)], predictions(10), [Failure(1, "PartitionMissing", "it is gone")])
    assert figures(shown(summary, [record(0)]))["galaxies"] == "10 of 2,000 rows of one dataset"


def test_the_measures_of_the_field_are_shown_and_what_they_leave_out():
    records = [record(0), record(1)]
    found = predictions(20)
    found.redshift_true[:3] = -9999
    found.redshift[3] = np.nan
    summary = summarise(manifest(), records, found)
    lines = figures(shown(summary, records))
    measures = summary.accuracy
    assert lines["MSE"] == f"{measures.mse:.6f}"
    assert lines["R²"] == f"{measures.r2:.4f}"
    assert lines["σ of Δz/(1+z)"] == f"{measures.sigma:.4f}"  # noqa: RUF001
    assert lines["bias of Δz/(1+z)"] == f"{measures.bias:+.4f}"
    assert lines["bias of Δz"] == f"{measures.mean_error:+.4f}"
    assert lines["outliers"] == "0.00% beyond 0.05, 0.00% beyond 0.15"
    assert lines["not in the accuracy"] == "3 without a true redshift, 1 without a prediction"
    assert lines["cost of the run"].endswith("USD (prices: us-east-1, 2026-01)")


def test_ranks_without_galaxies_are_said_to_be_there():
    records = [record(0), record(1)]
    idle = [{**record(0), "samples": 0, "rank": rank} for rank in (2, 3, 4)]
    lines = figures(shown(summarise(manifest(5), [*records, *idle], predictions(20), wall_s=0.0), records))
    assert (lines["without galaxies"], lines["throughput"]) == ("3 ranks", "unknown")
    assert lines["parts gathered"] == "2 direct"  # which are those of the table, and not the empty ones of the others
    assert "without galaxies" not in shown(summarise(manifest(), records, predictions(20)), records)


def test_a_rank_that_was_tried_again_is_seen():
    records = [record(0), {**record(1), "attempt": 1}]
    summary = summarise(manifest(), records, predictions(20))
    assert "rank 1 (attempt 2)" in shown(summary, records)
    adopted = [record(0), {**record(1), "adopted_by": 2}]
    assert "rank 1 (attempt 3)" in shown(summary, adopted)
    assert "attempt" not in shown(summary, [record(0), record(1)])


def test_the_usual_terminal_has_room_for_every_heading_and_figure():
    slow = {f"{name}_s": 12345.678 for name in ("cold_start", "download", "inference", "gather")}
    large = {"samples": 123_456, "sample_persec": 12345.6, "total_process_memory (MB)": 12345.6}
    records = [record(0), {**record(1), **large, "phases": {**record(1)["phases"], **slow}, "transport": "storage"}]
    text = shown(summarise(manifest(), records, predictions(20)), records, width=80)
    assert "…" not in text
    headings, rows = text.partition("──")[::2]
    for word in ("rank", "samples", "start", "download", "infer", "per s", "gather", "transport", "memory"):
        assert word in headings.split("\n", 1)[1]
    assert rows.splitlines()[2].split()[:2] == ["1", "123,456"]  # each rank in one line


def many(count: int, **given: float) -> list[dict]:
    """Records of ranks, each of which took a second longer than the one before."""
    one = record(0)
    return [
        {**one, "rank": rank, "phases": {**one["phases"], "inference_s": rank, "total_s": rank}, **given}
        for rank in range(count)
    ]


def test_of_very_many_ranks_the_figures_are_put_together_and_the_slowest_are_shown():
    records = many(10_000)
    text = shown(summarise(manifest(), [record(0), record(1)], predictions(20)), records, width=80)
    assert "…" not in text
    rows = [line.split() for line in text.splitlines()]
    assert len(rows) < 45
    words = [row[0] for row in rows if row and row[0] in ("least", "median", "most")]
    assert words == ["least", "median", "most"]
    (most,) = [row for row in rows if row[:1] == ["most"]]
    assert "9999" in most
    slowest = [int(row[0]) for row in rows if row and row[0].isdecimal()]
    assert slowest == list(range(9_999, 9_989, -1))
    assert "These are the least, median and most of 10,000 ranks, and the 10 slowest ranks." in text


def test_many_failures_are_shown_by_kind():
    failed = [Failure(rank, "PeerTimeout" if rank % 10 else "PartitionMissing", f"why {rank}") for rank in range(500)]
    text = shown(summarise(manifest(), [record(0)], predictions(0), failed), [record(0)], width=120)
    kinds = [line.split("  ", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("failed")]
    assert kinds == [
        "450 ranks: PeerTimeout (1, 2, 3, 4, 5 and 445 more). Rank 1: why 1",
        "50 ranks: PartitionMissing (0, 10, 20, 30, 40 and 45 more). Rank 0: why 0",
    ]


def test_many_ranks_that_were_tried_again_are_counted():
    records = many(100, attempt=1)
    text = shown(summarise(manifest(), [record(0), record(1)], predictions(20)), records, width=200)
    assert "rank 4 (attempt 2), and 95 more" in text


def test_error_bars_are_judged_where_the_truth_is_known():
    found = {"galaxies": 5, "with_truth": 5, "coverage_68": 0.6, "coverage_95": 1.0, "pit_ks": 0.2, "cde_loss": -17.0}
    words = "60.0% of true redshifts within 68%, 100.0% within 95%, PIT off by 0.200, CDE loss -17.00"
    assert error_bars(found) == words
    assert error_bars(found, measured=5) == words
    assert error_bars(found, measured=1005) == f"{words}, of 5 of 1,005 galaxies, as not all ranks left distributions"
    assert error_bars({"galaxies": 5, "with_truth": 0}) == "of 5 galaxies, with no true redshifts to judge them by"
    assert error_bars(None).startswith("none, because the weights have no calibration")


def test_uncertainties_of_the_model_itself_are_error_bars():
    records = [record(0)]
    summary = summarise(manifest(), records, predictions(20))
    records[0]["predictions"] = {**records[0]["predictions"], "errors": True}
    assert figures(shown(summary, records))["error bars"].startswith("the model's own")
