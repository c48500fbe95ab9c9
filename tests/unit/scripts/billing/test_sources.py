import json
from dataclasses import asdict
from pathlib import Path

import pytest

from lambda_image.cost import BillingTerms, usd_of
from lambda_image.errors import InvalidEvent
from lambda_image.manifest import Slice
from scripts.billing.sources import of_log, of_results, stated
from scripts.catalogue.run_source import ResultFolderSource
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions

LOG = """request_id,rank,billed_ms,memory_mb,max_memory_mb,init_ms
a,,677,128,90,496.78
b,0,6550,2048,700,1200
c,1,7000,2048,900,
d,1,1000,2048,,
"""


def folder(path: Path, count: int = 2) -> ResultFolderSource:
    """The results of a run of which `count` of two ranks have finished."""
    items = manifest()
    records = [record(rank) for rank in range(count)]
    for rank in records:
        rank["partitions"] = [{"key": "d/0.pt", "rows": [0, 5] if rank["rank"] else [5, 20], "etag": None}]
        (path / f"{rank['rank']}.json").write_text(json.dumps(rank))
    (path / "manifest.json").write_text(json.dumps([item.to_json() for item in items]))
    (path / "predictions.parquet").write_bytes(predictions(20).to_parquet())
    summary = summarise(items, records, predictions(20), memory_size_mb=1024).to_json()
    (path / "summary.json").write_text(json.dumps(summary))
    return ResultFolderSource(path)


def test_the_bill_of_results_is_what_their_summary_counts(tmp_path: Path):
    source = folder(tmp_path)
    run, summary = of_results(source), json.loads((tmp_path / "summary.json").read_bytes())
    lines = run.bill(BillingTerms())
    assert usd_of(lines) == pytest.approx(summary["cost_usd"], rel=1e-12)
    assert usd_of(lines, "Lambda") == pytest.approx(summary["cost"]["lambda_usd"])
    assert [one.rows for one in run.times] == [{"d/0.pt": 15}, {"d/0.pt": 5}]
    assert (run.times[0].seconds, run.wall_s, run.ranks, run.notes) == (5.0, 5.0, 2, [])
    assert run.result_gb > 0


def test_distributions_are_kept_on_s3_too(tmp_path: Path):
    source = folder(tmp_path)
    before = of_results(source).result_gb
    content = json.loads((tmp_path / "0.json").read_bytes()) | {"distributions": {"bytes": 3_000_000}}
    (tmp_path / "0.json").write_text(json.dumps(content))
    assert of_results(source).result_gb == pytest.approx(before + 0.003)


def test_whole_partitions_have_the_rows_that_are_in_the_predictions(tmp_path: Path):
    folder(tmp_path)
    content = record(0) | {"partitions": [asdict(Slice("d/0.pt"))]}
    (tmp_path / "0.json").write_text(json.dumps(content))
    assert of_results(ResultFolderSource(tmp_path)).times[0].rows == {"d/0.pt": 20}


def test_ranks_that_left_no_record_are_told_of(tmp_path: Path):
    run = of_results(folder(tmp_path, count=1))
    assert run.notes == ["1 rank of 2 left no record, and what they cost is not counted"]
    assert len(run.times) == 1
    (tmp_path / "summary.json").unlink()
    assert of_results(ResultFolderSource(tmp_path)).wall_s is None


def test_the_architecture_is_that_of_the_records(tmp_path: Path):
    folder(tmp_path)
    older = {name: value for name, value in record(0).items() if name != "architecture"}
    (tmp_path / "0.json").write_text(json.dumps(older))
    assert of_results(ResultFolderSource(tmp_path)).architecture is None
    (tmp_path / "0.json").write_text(json.dumps(record(0) | {"architecture": "arm64"}))
    assert of_results(ResultFolderSource(tmp_path)).architecture == "arm64"


def test_a_run_without_any_record_has_no_times(tmp_path: Path):
    with pytest.raises(InvalidEvent, match="holds no records of ranks"):
        of_results(folder(tmp_path, count=0))


def test_stated_ranks():
    run = stated(130, 25.0, 7.0, start_s=2.0)
    assert (len(run.times), run.ranks, run.wall_s) == (130, 130, 25.0)
    assert run.times[0].billed().seconds == 25.0
    assert run.times[0].start_s == 2.0


def test_a_log_has_ranks_their_attempts_and_the_other_functions(tmp_path: Path):
    (tmp_path / "log.csv").write_text(LOG)
    run = of_log(tmp_path / "log.csv", 9.0)
    assert [(one.rank, one.seconds, one.start_s) for one in run.times] == [(0, 6.55, 1.2), (1, 7.0, 0), (1, 1.0, 0)]
    assert (run.ranks, run.wall_s, len(run.others)) == (2, 9.0, 1)
    assert (run.others[0].seconds, run.others[0].memory_mb) == (0.677, 128)
    assert run.notes[1] == "ranks used up to 900 MB of 2,048 MB"


def test_a_log_as_the_command_for_logs_writes_it(tmp_path: Path):
    head = "function,rank,request_id,billed_ms,init_ms,billed_restore_ms,memory_mb,peak_mb"
    (tmp_path / "log.csv").write_text(f"{head}\nrank,0,a,1502.0,498.0,8,2048,700\ninit,,b,100,,,512,90\n")
    run = of_log(tmp_path / "log.csv")
    assert [(one.seconds, one.start_s) for one in run.times] == [(pytest.approx(1.51), pytest.approx(0.498))]
    assert (len(run.others), run.notes[1]) == (1, "ranks used up to 700 MB of 2,048 MB")


def test_a_log_that_names_no_ranks_is_of_ranks(tmp_path: Path):
    (tmp_path / "log.csv").write_text("billed_ms,memory_mb\n100,1024\n200,1024\n")
    run = of_log(tmp_path / "log.csv")
    assert (run.ranks, [one.seconds for one in run.times], run.wall_s) == (2, [0.1, 0.2], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rank,seconds\n", "has no column billed_ms: its columns are rank, seconds"),
        ("", "has no column billed_ms: its columns are none"),
        ("billed_ms,memory_mb\n", "has no rows"),
        ("billed_ms,memory_mb\nx,1\n", "line 2: billed_ms is 'x'; allowed: a number from 0"),
        ("billed_ms,memory_mb\n1,-1\n", "line 2: memory_mb is '-1'"),
        ("billed_ms,memory_mb\n1\n", "line 2: memory_mb is ''"),
        ("billed_ms,memory_mb,rank\n1,1,a\n", "line 2: rank is 'a'"),
        (b"billed_ms\xff", "is not a CSV file"),
    ],
)
def test_a_log_that_is_none_is_refused(tmp_path: Path, text: str | bytes, said: str):
    file = tmp_path / "log.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InvalidEvent, match=said):
        of_log(file)
