from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.runs.place import Place
from scripts.runs.stored_results import PIECE, StoredResults
from tests.unit.scripts.runs.conftest import BUCKET

RESULTS = {
    "manifest.json": b"[]",
    "0.json": b"{}",
    "summary.json": b'{"status": "succeeded"}',
    "predictions/0.parquet": b"PAR1" * PIECE,
}
LEFT = ("attempts/0/0/1.parquet", "shares/ab.jsonl", "notes.txt", "another-run/summary.json", "../outside.json")


def stored(place: Place) -> StoredResults:
    s3 = place.client("s3")
    for name in (*RESULTS, *LEFT):
        s3.put_object(Bucket=BUCKET, Key=f"results/r/{name}", Body=RESULTS.get(name, b""))
    return StoredResults(s3, BUCKET, "results/r")


def test_a_runs_results_are_copied_and_nothing_else(place: Place, tmp_path: Path):
    assert stored(place).download(tmp_path / "out") == len(RESULTS)
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == RESULTS


def test_one_small_result_is_read_alone(place: Place):
    results = stored(place)
    assert results.place == "s3://cosmic/results/r/"
    summary = results.open("summary.json")
    assert summary is not None
    assert summary.read() == RESULTS["summary.json"]
    assert results.open("combined_data.json") is None
    assert not results.holds(Path("out"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        StoredResults(place.client("s3"), "nowhere", "results/r").open("summary.json")


class Body:
    """A body that tells how much of it was asked for at a time."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def iter_chunks(self, size: int) -> Any:
        self.asked.append(size)
        yield b"x" * size


class Large:
    """An S3 with one object."""

    def __init__(self, name: str, body: Any) -> None:
        self.name, self.body = name, body

    def get_paginator(self, _: str) -> "Large":
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": f"r/{self.name}"}]}, {}]

    def get_object(self, **_: str) -> dict[str, Any]:
        return {"Body": self.body}


def test_no_object_is_in_memory_as_a_whole(tmp_path: Path):
    body = Body()
    StoredResults(Large("predictions.parquet", body), "b", "r").download(tmp_path)
    assert body.asked == [PIECE]


def test_a_full_disk_ends_the_copy(tmp_path: Path):
    (tmp_path / "predictions").write_text("a file where a folder should be")
    with pytest.raises(OSError):
        StoredResults(Large("predictions/0.parquet", Body()), "b", "r").download(tmp_path)
