import json
from pathlib import Path
from typing import Any

import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts.records.reading import EXPECTED, MEMORY, RATE, TIME, read_runs
from tests.unit.lambda_image.test_results import record


def published(path: str = "result-partition-25MB/1GB/1", **more: Any) -> dict[str, Any]:
    found = {TIME: 5.0, MEMORY: 100.0, RATE: 2e6, "batch_size": 512, "device": "cpu", "num_batches": 3}
    return found | {"result_path": path, "data_path": "25MB/1.pt"} | more


def write(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def test_the_published_result(shared: Path):
    runs, notes = read_runs([shared / "reference"])
    (run,) = runs
    assert (len(run.records), run.partition_mb, run.data_gb, run.name, run.batch_size) == (41, 25, 1, "1", 512)
    assert notes == [
        f"{shared}/reference/published_combined_data_25MB_1GB.json: 41 records of 41 lack total_process_memory (MB), "
        "library_overhead_memory (MB), total_image_memory (MB), total_model_memory (MB), s3_num_requests, "
        "s3_total_time, s3_avg_time, s3_min_time, s3_max_time"
    ]


def test_ours_lack_nothing(tmp_path: Path):
    runs, notes = read_runs([write(tmp_path / "combined_data.json", [record(0), record(1)])])
    assert notes == []
    assert (runs[0].name, runs[0].partition_mb, len(runs[0].records)) == ("run-1", None, 2)
    assert set(EXPECTED) <= runs[0].records[0].keys()


def test_folders_of_folders_files_of_ranks_and_the_combined_one(tmp_path: Path):
    write(tmp_path / "a/10/combined_data.json", [published("x/10")])
    write(tmp_path / "a/10/0.json", published("x/10"))
    write(tmp_path / "a/10/combined_data_1.json", [published("x/11")])
    write(tmp_path / "a/9/1.json", published("x/9"))
    write(tmp_path / "a/9/0.json", published("x/9"))
    write(tmp_path / "a/9/manifest.json", [{"rank": 0}])
    write(tmp_path / "a/.11.1234.partial/combined_data.json", [published("x/11")])  # which was never whole
    write(tmp_path / "a/.11.1234.partial/predictions/combined_data.json", [published("x/12")])
    runs, _ = read_runs([tmp_path / "a"])
    assert [(run.name, len(run.records)) for run in runs] == [("9", 2), ("10", 1)]
    alone, _ = read_runs([tmp_path / "a/9/0.json", tmp_path / "a/9/0.json", tmp_path / "a/10/0.json"])
    assert [(run.name, len(run.records)) for run in alone] == [("9", 1), ("10", 1)]


@pytest.mark.parametrize(
    ("path", "partition", "data", "run"),
    [
        ("result-partition-25MB/1GB/1", 25, 1, "1"),
        ("result-partition-100MB/12.6GB/run 3", 100, 12.6, "3"),
        ("resultsstep4/100MB/8GB/2/", 100, 8, "2"),
        ("result-partition-75MB/total/2", 75, 12.6, "2"),
        ("result-partition-25MB/1GB/Batches/128/2", 25, 1, "2"),
        ("results/totals", 25, None, "totals"),
    ],
)
def test_what_paths_tell(tmp_path: Path, path: str, partition: float, data: float | None, run: str):
    runs, _ = read_runs([write(tmp_path / "combined_data.json", [published(path)])])
    assert (runs[0].partition_mb, runs[0].data_gb, runs[0].name) == (partition, data, run)


def test_the_files_path_tells_what_records_do_not(tmp_path: Path):
    file = write(tmp_path / "result-partition-50MB/2GB/3/combined_data.json", [{TIME: 1.0, MEMORY: 1.0, RATE: 1.0}])
    runs, _ = read_runs([file])
    assert (runs[0].partition_mb, runs[0].data_gb, runs[0].name) == (50, 2, "3")


def test_the_keys_of_a_local_inference(tmp_path: Path):
    content = {"total cpu time (second)": 7.2, "cpu memory (MB)": 25215.6, "throughput(bps)": 2.85e7, "batch size": 128}
    runs, _ = read_runs([write(tmp_path / "Results.json", content)])
    assert (runs[0].values(TIME), runs[0].values(RATE), runs[0].batch_size) == ([7.2], [2.85e7], 128)


def test_values_that_are_no_numbers_are_named_and_left_out(tmp_path: Path):
    content = [published(), published(**{TIME: "5", MEMORY: None}), published(**{TIME: float("nan")})]
    runs, notes = read_runs([write(tmp_path / "combined_data.json", content)])
    assert runs[0].values(TIME) == [5.0]
    assert f"2 records of 3 have no number under {TIME}" in notes[1]
    assert f"1 record of 3 has no number under {MEMORY}" in notes[2]


def test_a_rank_that_has_only_begun_left_no_result(tmp_path: Path):
    write(tmp_path / "0.json", published())
    write(tmp_path / "1.json", {"run_id": "r", "execution": "arn", "rank": 1, "attempt": 0})
    runs, notes = read_runs([tmp_path])
    assert len(runs[0].records) == 1
    assert notes[0] == f"{tmp_path}: 1 rank of 2 left no result"


def test_a_run_without_galaxies_is_left_out(tmp_path: Path):
    runs, notes = read_runs([write(tmp_path / "combined_data.json", [])])
    assert runs == []
    assert "is left out" in notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[3]", "record 0 is no record"),
        ("[{}]", "record 0 is no record"),
        ('"a"', "is no record"),
    ],
)
def test_what_holds_no_records_is_refused(tmp_path: Path, text: str, said: str):
    (tmp_path / "combined_data.json").write_text(text)
    with pytest.raises(InvalidEvent, match=said):
        read_runs([tmp_path])


def test_nothing_there(tmp_path: Path):
    with pytest.raises(UsageError, match="does not exist"):
        read_runs([tmp_path / "none"])
    with pytest.raises(UsageError, match="holds no records"):
        read_runs([tmp_path])
