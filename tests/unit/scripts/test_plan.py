import json
from functools import partial
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts import plan
from tests.unit.scripts.billing.test_sources import folder
from tests.unit.scripts.flags import run_command

run = partial(run_command, plan)


def test_a_plan_by_the_results_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path)
    flags = ("--galaxies", 100_000, "--partition-mb", "5,25", "--memory", "1769,10240", "--json", tmp_path / "p.json")
    assert run(tmp_path, *flags, "--cold-start", 2) == 0
    report, out = json.loads((tmp_path / "p.json").read_bytes()), capsys.readouterr().out
    assert len(report["choices"]) == 4
    assert report["measured"]["start_s"] == 2
    front = [one for one in report["choices"] if one["beaten_by_none"]]
    assert min(report["choices"], key=lambda one: one["total_s"]) in front
    assert all(one["usd"] == pytest.approx(sum(line["usd"] for line in one["lines"])) for one in front)
    assert "fastest: 5 MB partitions" in out
    assert "cheapest: " in out


def test_a_plan_says_what_distributions_take_on_s3(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path)
    for rank in range(2):
        content = json.loads((tmp_path / f"{rank}.json").read_bytes())
        given = {"predictions": content["predictions"] | {"bytes": 400}, "distributions": {"bytes": 10 * 79}}
        (tmp_path / f"{rank}.json").write_text(json.dumps(content | given))
    run(tmp_path, "--galaxies", 10_000_000, "--partition-mb", 100, "--memory", 10240)
    said = "results on S3: 1.48 GB, 0.74 GB of it redshift distributions"
    assert said in capsys.readouterr().out


def test_a_run_of_few_galaxies_is_said_to_tell_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def said(each: int) -> str:
        for rank in range(2):
            content = json.loads((tmp_path / f"{rank}.json").read_bytes())
            (tmp_path / f"{rank}.json").write_text(json.dumps(content | {"samples": each}))
        run(tmp_path, "--galaxies", 10_000, "--partition-mb", 100, "--memory", 10240)
        return " ".join(capsys.readouterr().out.split())

    folder(tmp_path)
    assert "warning: a rank of this run had 999 galaxies, so that its start is much of what is measured." in said(999)
    assert "warning" not in said(1000)


def test_data_by_size_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path)
    flags = ("--data-gb", 0.5, "--world-size", "1,4", "--memory", 1769, "--partition-mb", 100, "--concurrency", 3)
    assert run(tmp_path, *flags, "--all", "--picture", tmp_path / "p.png") == 1  # 900 s are not enough for either
    assert "nothing of this is possible: a rank takes" in capsys.readouterr().out
    assert not (tmp_path / "p.png").exists()
    assert (
        run(tmp_path, "--galaxies", 100, "--partition-mb", 1, "--concurrency", 1, "--picture", tmp_path / "p.png") == 0
    )
    assert (tmp_path / "p.png").stat().st_size > 5000
    assert "their parts travel by S3" in " ".join(capsys.readouterr().out.split())


def test_a_plan_tells_in_how_many_waves_the_ranks_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path)
    flags = ("--galaxies", 1000, "--world-size", "1,4,7", "--concurrency", 3, "--partition-mb", 1, "--memory", 1769)
    assert run(tmp_path, *flags, "--all", "--json", tmp_path / "p.json") == 0
    waves = {one["world_size"]: one["waves"] for one in json.loads((tmp_path / "p.json").read_bytes())["choices"]}
    assert waves == {1: 1, 4: 2, 7: 3}
    assert "waves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "needs the results of a run, or --check"),
        (("x", "--check"), "--check makes runs of its own"),
        (("x", "--memory", 1), "--memory is '1'"),
        (("x", "--partition-mb", "a"), "--partition-mb is 'a'"),
        (("x", "--world-size", 20_000), "--world-size is '20000'"),
        (("x", "--data-gb", -1), "--data-gb is -1"),
        (("x", "--data-gb", 1e9), "--data-gb is 1e[+]09; allowed: at most 1,000,000"),
        (("x", "--galaxies", 0), "--galaxies is 0"),
        (("x", "--concurrency", 0), "--concurrency is 0"),
        (("x", "--picture", "x.gif"), "its name must end in"),
        (("x",), "does not exist: name the folder of a run"),
    ],
)
def test_wrong_flags(flags: tuple[object, ...], said: str):
    with pytest.raises(UsageError, match=said):
        run(*flags)


def test_a_run_that_is_not_complete(tmp_path: Path):
    folder(tmp_path, count=1)
    with pytest.raises(InvalidEvent, match="is no complete run"):
        run(tmp_path)


def test_a_busy_machine_is_told_of():
    assert plan.busy_words(0.4, 2) == ""
    assert "load 9.2 on 2 CPUs" in plan.busy_words(9.2, 2)
