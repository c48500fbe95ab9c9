"""`cosmicai logs` of a run on the local endpoint, whose log groups are like those of Lambda."""

import json
from pathlib import Path

import pytest

from scripts.cli import main
from tests.integration.system import System


def test_the_logs_of_a_run_are_joined_to_its_ranks(system: System, galaxies: str, tmp_path: Path, capsys) -> None:
    first, other = (system.start(data_prefix=galaxies, world_size=3) for _ in range(2))
    assert {system.cloud.wait_for(arn)["status"] for arn in (first, other)} == {"SUCCEEDED"}
    file = tmp_path / "logs.json"
    words = ["logs", "--endpoint-url", system.cloud.endpoint_url, "--json", str(file)]
    assert main([*words, first]) == 0
    said = capsys.readouterr().out
    assert f"run {first.rpartition(':')[2]}: succeeded" in said
    written = json.loads(file.read_text())
    invocations = [(one["function"], one["rank"]) for one in written["invocations"]]
    assert invocations == [("init", None), ("rank", 0), ("rank", 1), ("rank", 2), ("summarize", None)]
    totals = written["totals"]
    assert 0 < totals["map_s"] < totals["total_s"]
    assert totals["unreadable_reports"] == totals["duplicates_removed"] == totals["timeouts"] == 0
    longest = max(one["duration_ms"] for one in written["invocations"] if one["function"] == "rank")
    assert longest / 1000 < totals["map_s"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run-that-never-was"], "has no run run-that-never-was"),
        (
            ["arn:aws:states:us-east-1:123456789012:execution:other:x"],
            "has no run arn:aws:states",
        ),
    ],
)
def test_a_run_that_is_not_there_is_one_line(system: System, words: list[str], told: str, capsys) -> None:
    assert main(["logs", "--endpoint-url", system.cloud.endpoint_url, *words]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
