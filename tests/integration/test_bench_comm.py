"""`cosmicai bench comm` as people run it. That figures are right in size is not tested: machines differ."""

import json
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts.bench import comm
from scripts.bench.comm import command
from scripts.bench.comm.contenders import BARE, OURS, RAW, RAW_STYLES, TORCH, Contender
from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.plan import CommPlan
from scripts.bench.comm.ranks import running
from scripts.bench.errors import BenchmarkError
from scripts.bench.servers import Server, our_server
from scripts.cli import main
from tests.unit.scripts.flags import parsed

SMALL = CommPlan(
    rounds=2,
    worlds=(2,),
    sizes=(1_000, 300_000),
    counts={0: 4},
    fewest=2,
    contenders=(BARE, RAW_STYLES[0]),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with our_server() as server:
        yield server


def bench(plan: CommPlan, *flags: object) -> int:
    return command.run(parsed(comm, *flags), plan)


def test_the_command_measures_draws_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    drawn = ("--picture", picture) if find_spec("matplotlib") else ()
    assert bench(SMALL, "--json", figures, *drawn) == 0
    report = json.loads(figures.read_text())
    cases = [(one["operation"], one["size"], one["contender"], len(one["rounds"])) for one in report["comm"]]
    names = [contender.name for contender in SMALL.contenders]
    assert cases == [(case.operation, case.size, name, 2) for case in SMALL.cases(OPERATIONS) for name in names]
    assert all(one["figures"]["ms"]["low"] > 0 for one in report["comm"])
    assert all("share_of_raw" in one["figures"] for one in report["comm"] if one["kind"] == "ours")
    assert report["failures"] == []
    assert not drawn or b"<svg" in picture.read_bytes()
    assert "allreduce" in capsys.readouterr().out


@pytest.mark.parametrize("contender", [*RAW_STYLES[1:], TORCH], ids=lambda contender: contender.name)
def test_every_rival_takes_part(server: Server, contender: Contender):
    """Its results are compared with what is right, too: round raises otherwise."""
    with running(contender, 2, server, 60.0) as ranks:
        for operation in OPERATIONS:
            answers = ranks.round(operation, 100_000 if operation != "barrier" else 0, 2, 1)
            assert [len(answer["began"]) for answer in answers] == [2 if operation != "barrier" else 1] * 2


def test_the_constants_of_the_cost_model_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures = tmp_path / "costs.json"
    assert bench(CommPlan(rounds=1, counts={0: 5}, fewest=1, warm_up=1), "--calibrate", "--json", figures) == 0
    assert json.loads(figures.read_text())["costs"].keys() == {"latency", "message", "byte", "combine"}
    assert "MEASURED = Costs(" in capsys.readouterr().out


def test_a_contender_that_fails_is_left_out_and_told(capsys: pytest.CaptureFixture[str]):
    broken = Contender("broken", RAW, "by magic")
    plan = CommPlan(rounds=1, worlds=(2,), counts={0: 2}, contenders=(RAW_STYLES[0], broken))
    assert bench(plan, "--only", "barrier") == 1
    told = capsys.readouterr()
    assert "2 ranks: broken: a rank has ended" in told.err
    assert "barrier" in told.out  # the rest was measured


def test_a_rank_that_is_lost_ends_the_round(server: Server):
    with running(Contender("ours", OURS, "bare"), 2, server, 60.0) as ranks:
        os.kill(ranks.processes[1].pid, signal.SIGKILL)
        with pytest.raises(BenchmarkError, match="a rank"):
            ranks.round("barrier", 0, 2, 0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "gather,alltoall"], "'alltoall' is unknown; allowed: barrier, gather, bcast, allreduce"),
        (["--ranks", "1"], "whole numbers from 2 to 64"),
        (["--ranks", "two"], "whole numbers from 2 to 64"),
        (["--picture", "bench.gif"], "must end in .svg or .png"),
        (["--json", "no/such/folder/bench.json"], "in a folder that does not exist"),
        (["--calibrate", "--picture", "bench.svg"], "constants make no picture"),
    ],
)
def test_flags_that_cannot_be_meant(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "comm", *flags]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "InvalidEvent" not in told
