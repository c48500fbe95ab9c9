"""Runs that end before Summarize, and the summary that they get all the same."""

import json
import os
import signal
import time
from typing import Any

import pytest

from scripts.aws_endpoint import REGION
from scripts.runs.late_summary import summarise_late
from statemachine.definition import definition
from statemachine.local.settings import ACCOUNT, FUNCTIONS, function_arn
from tests.integration.system import BUCKET, System, write_galaxies

pytestmark = pytest.mark.timeout(240)
LONG: dict[str, Any] = {"world_size": 2, "batch_size": 1}
PARTITIONS, GALAXIES = 8, 40  # one by one they keep two ranks busy for seconds, whatever becomes of the run


@pytest.fixture(scope="module")
def some_galaxies(tmp_path_factory: pytest.TempPathFactory, _running: System) -> str:
    _running.upload(write_galaxies(tmp_path_factory.mktemp("some"), PARTITIONS, GALAXIES), "some")
    return "some"


def late(system: System, path: str, described: dict[str, Any]) -> Any:
    summary = summarise_late(system.s3, BUCKET, path, described)
    if summary is not None:
        assert system.json(f"{path}/summary.json") == json.loads(json.dumps(summary.to_json()))
    return summary


def test_a_run_that_is_stopped_gets_a_summary_of_what_its_ranks_have_left(system: System, some_galaxies: str):
    path = "results/stopped-early"
    # One rank has all partitions, so that one that is finished is kept long before the last one ends.
    run = system.start(data_prefix=some_galaxies, result_path=path, tolerated_failures=1, world_size=1, batch_size=1)
    while not any(key.startswith("attempts/") for key in system.keys(path)):
        assert "summary.json" not in system.keys(path)
        time.sleep(0.01)
    system.cloud.client("stepfunctions").stop_execution(executionArn=run)
    described = system.cloud.wait_for(run)
    assert described["status"] == "ABORTED"
    assert "summary.json" not in system.keys(path)
    summary = late(system, path, described)
    assert summary.execution == run
    assert summary.samples == len(system.predictions(path)) >= GALAXIES
    assert summary.wall_s is not None
    assert summary.warnings[0].startswith("the run was stopped before its last step")
    assert late(system, path, described) is None  # there is one now


def test_a_run_that_the_state_machine_ends_gets_one_too(system: System, some_galaxies: str):
    arns = {f"{name.capitalize()}FunctionArn": function_arn(name, REGION) for name in FUNCTIONS}
    brief = {**json.loads(definition(arns)), "TimeoutSeconds": 3}  # in which Init ends, on a busy machine, too
    client = system.cloud.client("stepfunctions")
    machine = client.create_state_machine(
        name="brief", definition=json.dumps(brief), roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine"
    )["stateMachineArn"]
    path = "results/brief"
    given = {"bucket": BUCKET, "data_prefix": some_galaxies, "result_path": path, **LONG}
    frozen: list[int] = []

    def freeze(event: dict[str, Any]) -> None:
        if event.get("phase") == "start" and event["rank"] == 0:
            frozen.append(event["worker"])
            os.kill(event["worker"], signal.SIGSTOP)

    system.events.react(freeze)  # so that the run cannot end before, however fast this machine is
    try:
        run = client.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
        described = system.cloud.wait_for(run)
    finally:
        for worker in frozen:
            os.kill(worker, signal.SIGCONT)
    assert described["status"] == "TIMED_OUT"
    summary = late(system, path, described)
    assert summary.execution == run
    assert "reached the time limit of the state machine" in summary.warnings[0]
    assert len(system.predictions(path)) == summary.samples


def test_a_run_that_init_refused_or_that_has_ended_well_gets_none(system: System, galaxies: str):
    refused = system.run(data_prefix="nowhere", result_path="results/refused")
    assert summarise_late(system.s3, BUCKET, "results/refused", refused) is None
    well = system.run(data_prefix=galaxies, world_size=1, result_path="results/well")
    assert summarise_late(system.s3, BUCKET, "results/well", well) is None
    other = {**well, "executionArn": "arn:other", "status": "ABORTED"}
    assert summarise_late(system.s3, BUCKET, "results/well", other) is None  # the path is another run's
