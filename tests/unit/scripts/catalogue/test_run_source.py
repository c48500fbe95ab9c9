import json
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts.catalogue.run_source import PredictionsFileSource, ResultFolderSource, find_run, read_json
from tests.unit.scripts.catalogue.runs import predictions, run_folder


def test_json_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(InvalidEvent, match=r"summary\.json of .* is not JSON"):
        read_json(ResultFolderSource(tmp_path), "summary.json")
    assert read_json(ResultFolderSource(tmp_path), "nothing.json") is None


def test_a_run_is_found_by_its_folder_and_by_its_name(tmp_path: Path):
    out = run_folder(tmp_path / "results" / "demo", predictions(1))
    (out / "summary.json").write_text(json.dumps({"run_id": "demo-1"}))
    (tmp_path / "results" / "other").mkdir()
    (tmp_path / "results" / "other" / "summary.json").write_text("[]")
    assert find_run(str(out)) == ResultFolderSource(out)
    assert find_run("demo-1", tmp_path / "results") == ResultFolderSource(out)
    assert find_run(str(out / "predictions.parquet")) == PredictionsFileSource(out / "predictions.parquet")
    with pytest.raises(UsageError, match="demo-2 does not exist: name the folder of a run, or a run that is in"):
        find_run("demo-2", tmp_path / "results")


def test_a_folder_holds_what_lies_in_it(tmp_path: Path):
    source = ResultFolderSource(tmp_path / "out")
    assert source.holds(tmp_path / "out" / "x.csv")
    assert source.holds(tmp_path / "other" / ".." / "out" / "predictions" / "x.csv")
    assert not source.holds(tmp_path / "x.csv")


def test_a_file_of_predictions_holds_nothing_else(tmp_path: Path):
    source = PredictionsFileSource(tmp_path / "p.parquet")
    assert source.open("summary.json") is None
    assert source.holds(tmp_path / "p.parquet")
    assert not source.holds(tmp_path / "p.fits")


def test_a_run_that_is_not_here_is_fetched_once(tmp_path: Path):
    fetched, said, arn = list[str](), list[str](), "arn:aws:states:us-east-1:123456789012:execution:m:far-1"

    def fetch(name: str) -> Path:
        fetched.append(name)
        out = run_folder(tmp_path / "results" / "far-1", predictions(1))
        (out / "summary.json").write_text(json.dumps({"run_id": "far-1", "execution": arn}))
        return out

    for given in ("far-1", "far-1", arn):
        found = find_run(given, tmp_path / "results", fetch, said.append)
        assert found == ResultFolderSource(tmp_path / "results" / "far-1")
    assert fetched == ["far-1"]
    assert said == [f"{tmp_path}/results/far-1/ is read, which holds the results of far-1"] * 2


def test_results_that_were_never_whole_are_not_those_of_the_run(tmp_path: Path):
    """A command that was killed while it fetched them leaves a folder that begins with a dot."""
    for name in (".demo.1234.partial", "demo"):
        out = run_folder(tmp_path / name, predictions(1))
        (out / "summary.json").write_text(json.dumps({"run_id": "demo-1"}))
    assert find_run("demo-1", tmp_path) == ResultFolderSource(tmp_path / "demo")


def test_a_run_of_the_same_name_in_another_region_is_another_run(tmp_path: Path):
    out = run_folder(tmp_path / "results" / "far-1", predictions(1))
    arns = [f"arn:aws:states:{region}:123456789012:execution:m:far-1" for region in ("us-east-1", "eu-west-1")]
    (out / "summary.json").write_text(json.dumps({"run_id": "far-1", "execution": arns[0]}))
    elsewhere = run_folder(tmp_path / "elsewhere", predictions(2))
    assert find_run(arns[0], tmp_path / "results", lambda arn: elsewhere) == ResultFolderSource(out)
    assert find_run(arns[1], tmp_path / "results", lambda arn: elsewhere) == ResultFolderSource(elsewhere)


@pytest.mark.parametrize("given", ["predictions.fits", "folder/run", "a b", "x" * 81])
def test_what_cannot_be_the_id_of_a_run_is_not_asked_for(given: str, tmp_path: Path):
    with pytest.raises(UsageError, match=r"does not exist: name the folder of a run, or a run that is in .*/$"):
        find_run(given, tmp_path, lambda name: pytest.fail(f"asked for {name}"))


def test_a_run_that_nobody_can_be_asked_for_is_told_with_the_reason(tmp_path: Path):
    def fetch(name: str) -> Path:
        raise UsageError("no region is named")

    with pytest.raises(UsageError, match=r"far-1 does not exist here, and cannot be fetched: no region is named"):
        find_run("far-1", tmp_path, fetch)
