"""Whole runs: a real rendezvous server, a real state machine, real awslambdaric workers, real sockets."""

import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from lambda_image import load_engine
from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.summary import message_of
from tests.integration.rendezvous import until
from tests.integration.system import BUCKET, System, write_galaxies

pytestmark = pytest.mark.timeout(240)


def expect_success(described):
    assert described["status"] == "SUCCEEDED", described.get("cause")


def test_any_world_size_gives_the_same_predictions_in_the_same_order(system: System, galaxies: str):
    tables = []
    for world_size in (1, 2, 4, 7):
        path = f"truth/{world_size}"
        expect_success(system.run(data_prefix=galaxies, world_size=world_size, batch_size=8, result_path=path))
        summary = system.json(f"{path}/summary.json")
        assert (summary["world_size"], summary["samples"], summary["failed_ranks"]) == (world_size, 132, [])
        assert summary["gathered"]
        assert summary["transports"] == {"self": 1} | ({"direct": world_size - 1} if world_size > 1 else {})
        tables.append(system.predictions(path))
    order = [f"{galaxies}/{number}.safetensors" for number in range(1, 12) for _ in range(12)]
    for table in tables:
        assert table.source.tolist() == order
        assert table.row.tolist() == list(range(12)) * 11
        assert np.abs(table.redshift - tables[0].redshift).max() <= 1e-6
        assert np.array_equal(table.magnitudes, tables[0].magnitudes)


def test_results_lie_where_they_should_and_say_what_they_must(system: System, galaxies: str):
    described = system.run(data_prefix=galaxies, world_size="3", batch_size="16", result_path="results/layout")
    expect_success(described)
    ranks = range(3)
    kept = {key for key in system.keys("results/layout") if key.startswith("attempts/")}  # on a machine that is slow
    (shares,) = {key for key in system.keys("results/layout") if key.startswith("shares/")}
    assert system.keys("results/layout") - kept - {shares} == {
        "manifest.json",
        *(f"{rank}.json" for rank in ranks),
        *(f"predictions/{rank}.parquet" for rank in ranks),
        *(f"quantiles/{rank}.parquet" for rank in ranks),
        "predictions.parquet",
        "combined_data.json",
        "summary.json",
    }
    manifest = system.json("results/layout/manifest.json")
    withheld = [json.loads(line) for line in system.get(f"results/layout/{shares}").splitlines()[1:]]
    assert [len(item["partitions"]) for item in withheld] == [4, 4, 3]
    assert withheld[0]["run_key"] not in json.dumps(manifest)
    history = system.cloud.client("stepfunctions").get_execution_history(executionArn=described["executionArn"])
    shown = json.dumps([described, history["events"]], default=str)
    assert "results/layout/manifest.json" in shown
    assert withheld[0]["run_key"] not in shown
    combined = system.json("results/layout/combined_data.json")
    assert [record["rank"] for record in combined] == [0, 1, 2]
    assert [record["samples"] for record in combined] == [48, 48, 36]
    for rank in ranks:
        own = system.json(f"results/layout/{rank}.json")
        assert own["transport"] == ("self" if rank == 0 else "direct")
        assert (own["nat"], own["engine"]) == ("none", "eager")
        phases = own["phases"]
        assert phases["cold_start_s"] == pytest.approx(
            phases["interpreter_s"] + phases["imports_s"] + phases["model_s"], abs=1e-6
        )
        assert 0 < phases["first_batch_s"] <= phases["inference_s"]
        assert phases["join_s"] > 0
        assert (phases["connect_s"] is None) is (rank == 0)
        assert own["num_batches"] == sum(1 for _ in withheld[rank]["partitions"])  # 12 galaxies each, 16 to a batch
        assert own["phases"]["inference_s"] > 0
        assert own["sample_persec"] == pytest.approx(own["samples"] / own["phases"]["inference_s"])
    assert "run_key" not in (system.get("results/layout/summary.json") + system.get("results/layout/0.json")).decode()


def test_published_tools_find_their_keys_and_compute_what_they_did(system: System, galaxies: str, shared: Path):
    published = json.loads(next((shared / "reference").glob("*.json")).read_text())
    expect_success(system.run(data_prefix=galaxies, world_size=2, batch_size=5, result_path="results/published"))
    records = system.json("results/published/combined_data.json")
    for record in records:
        for key, value in published[0].items():
            assert type(record[key]) is (list if key == "data_path" else type(value)), key  # several files are a list
        seconds = record["total_cpu_time (seconds)"]
        assert record["throughput_bps"] * seconds == pytest.approx(record["bits"], rel=1e-6)
        assert record["sample_persec"] * seconds == pytest.approx(record["samples"], rel=1e-6)
        batches = record["samples"] / record["batch_size"]
        assert record["execution_time (seconds/batch)"] * batches == pytest.approx(seconds, rel=1e-6)
        times = [record[f"s3_{name}_time"] for name in ("min", "avg", "max", "total")]
        assert 0 < times[0] <= times[1] <= times[2] < times[3]
        assert record["s3_num_requests"] == record["s3"]["puts"] + record["s3"]["gets"]
        assert record["s3_first_request_time"] < record["s3_last_response_time"]
    summed = sum(record["sample_persec"] * record["total_cpu_time (seconds)"] for record in records)
    assert summed == pytest.approx(system.json("results/published/summary.json")["samples"], rel=1e-6)


def test_one_dataset_is_split_by_rows_and_ranks_without_rows_take_part(system: System, tmp_path: Path):
    tables = []
    for file_format in ("safetensors", "pt"):
        system.upload(write_galaxies(tmp_path / file_format, 1, 5, file_format), f"one/{file_format}")
        key, path = f"one/{file_format}/1.{file_format}", f"results/rows-{file_format}"
        world_size = 4 if file_format == "pt" else 7
        expect_success(system.run(data_path=key, world_size=world_size, result_path=path))
        tables.append(system.predictions(path))
        assert tables[-1].row.tolist() == [0, 1, 2, 3, 4]
        assert system.json(f"{path}/summary.json")["gathered"]
        rows = {4: [2, 1, 1, 1], 7: [1, 1, 1, 1, 1]}[world_size]  # two ranks have none, and their records zeros
        assert [record["samples"] for record in system.json(f"{path}/combined_data.json")] == rows
        assert system.json(f"{path}/summary.json")["ranks_completed"] == world_size
        assert system.json(f"{path}/{world_size - 1}.json")["samples"] == rows[-1] * (world_size == 4)
    assert np.abs(tables[0].redshift - tables[1].redshift).max() <= 1e-6  # the same galaxies in both formats


@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_killed_during_inference_is_retried_and_nothing_is_lost(system: System, many_galaxies: str, rank: int):
    def kill(event):
        if event.get("phase") == "inference" and event["rank"] == rank and not killed:
            killed.append(event["worker"])
            os.kill(event["worker"], signal.SIGKILL)

    killed: list[int] = []
    system.events.react(kill)
    path = f"results/killed-{rank}"
    expect_success(system.run(data_prefix=many_galaxies, world_size=4, batch_size=1, result_path=path))
    assert killed
    summary = system.json(f"{path}/summary.json")
    assert (summary["samples"], summary["failed_ranks"], summary["ranks_completed"]) == (1200, [], 4)
    assert summary["gathered"] is (rank != 0)  # the others' gathers end with the root
    assert system.json(f"{path}/{rank}.json")["attempt"] == 1
    assert summary["wall_s"] < 50  # nobody waited for a gather's whole timeout
    if rank == 0:
        assert any("no gather" in warning for warning in summary["warnings"])


def test_ranks_that_come_after_a_lost_root_do_not_wait_for_it(system: System, galaxies: str):
    def kill(event):
        if event.get("phase") == "inference" and event["rank"] == 0 and not killed:
            killed.append(event["worker"])
            os.kill(event["worker"], signal.SIGKILL)

    killed: list[int] = []
    system.events.react(kill)
    # More ranks than workers: some begin when the root has long been lost.
    given = {"data_prefix": galaxies, "world_size": 11, "batch_size": 1, "gather_timeout_s": 600}
    expect_success(system.run(**given, result_path="results/late"))
    summary = system.json("results/late/summary.json")
    assert killed
    assert (summary["samples"], summary["transports"]) == (132, {"storage": 11})
    assert summary["wall_s"] < 300


def test_a_rank_that_never_survives_fails_the_run_by_name_and_the_others_stay(system: System, many_galaxies: str):
    def kill(event):
        if event.get("phase") == "inference" and event["rank"] == 1:
            os.kill(event["worker"], signal.SIGKILL)

    system.events.react(kill)
    given = {"data_prefix": many_galaxies, "world_size": 3, "batch_size": 1, "gather_timeout_s": 5}
    described = system.run(**given, result_path="results/doomed")
    assert described["status"] == "FAILED"
    assert described["error"] == "TooManyFailures"
    cause = message_of(described["cause"])
    assert "1 of 3 ranks failed" in cause
    assert "rank 1: Runtime.ExitError" in cause
    assert {"0.json", "2.json", "predictions/0.parquet", "predictions/2.parquet"} <= system.keys("results/doomed")
    summary = system.json("results/doomed/summary.json")
    assert [failure["rank"] for failure in summary["failed_ranks"]] == [1]
    assert len(system.predictions("results/doomed")) == summary["samples"] == 900

    expect_success(system.run(**given, tolerated_failures=1, result_path="results/tolerated"))
    assert system.json("results/tolerated/summary.json")["ranks_completed"] == 2


def test_executions_at_the_same_time_do_not_touch_each_other(system: System, galaxies: str):
    executions = [system.start(data_prefix=galaxies, world_size=2, file_limit=limit) for limit in (3, 5)]
    names = [arn.rpartition(":")[2] for arn in executions]
    assert len(set(names)) == 2
    for arn, name, limit in zip(executions, names, (3, 5), strict=True):
        expect_success(system.cloud.wait_for(arn))
        assert {item["run_id"] for item in system.json(f"results/{name}/manifest.json")} == {name}
        assert len(system.predictions(f"results/{name}")) == 12 * limit


def test_a_result_path_in_use_is_refused_and_one_that_is_done_is_replaced(
    system: System, galaxies: str, many_galaxies: str
):
    """At work for long enough that the other one begins meanwhile, however busy the machine is."""
    long = {
        "data_prefix": many_galaxies,
        "world_size": 2,
        "file_limit": 2,
        "batch_size": 1,
        "result_path": "results/same",
    }
    arns = [system.start(**long), system.start(**long)]
    described = sorted((system.cloud.wait_for(arn) for arn in arns), key=lambda d: d["status"])
    assert [d["status"] for d in described] == ["FAILED", "SUCCEEDED"]
    assert described[0]["error"] == "InvalidEvent"
    winner = described[1]["executionArn"].rpartition(":")[2]
    assert winner in message_of(described[0]["cause"])
    assert system.json("results/same/summary.json")["run_id"] == winner

    later = system.run(data_prefix=galaxies, world_size=1, file_limit=2, result_path="results/same")
    expect_success(later)
    assert system.json("results/same/summary.json")["run_id"] == later["executionArn"].rpartition(":")[2]
    assert len(system.predictions("results/same")) == 24


def test_a_rendezvous_server_out_of_reach_makes_the_run_slower_not_wrong(system: System, galaxies: str):
    given = {"data_prefix": galaxies, "world_size": 3, "rendezvous_endpoint": "127.0.0.1:9"}
    expect_success(system.run(**given, result_path="results/alone"))
    summary = system.json("results/alone/summary.json")
    assert (summary["samples"], summary["gathered"], summary["transports"]) == (132, False, {"storage": 3})
    # What ranks log comes by way of the endpoint, and may come after the end of the run.
    until(lambda: "RendezvousUnreachable" in [event["error"] for event in system.events.of("gather_failed")])
    assert any("127.0.0.1:9" in warning for warning in summary["warnings"])


def test_sockets_may_be_left_out(system: System, galaxies: str):
    expect_success(system.run(data_prefix=galaxies, world_size=2, fmi_enabled=False, result_path="results/no-fmi"))
    assert system.json("results/no-fmi/summary.json")["transports"] == {"storage": 2}
    assert len(system.predictions("results/no-fmi")) == 132


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bucket": None}, "InvalidEvent", ["bucket is missing"]),
        ({"bucket": "no-such-bucket"}, "InvalidEvent", ["no-such-bucket"]),
        ({"data_prefix": None}, "InvalidEvent", ["data_prefix"]),
        ({"data_prefix": "nowhere"}, "PartitionMissing", ["s3://tests/nowhere/"]),
        ({"data_prefix": None, "data_path": "nowhere.pt"}, "PartitionMissing", ["s3://tests/nowhere.pt"]),
        ({"world_size": 0}, "InvalidEvent", ["world_size", "0"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(system: System, galaxies: str, change, error, words):
    described = system.run(**{"data_prefix": galaxies, "result_path": "results/bad", **change})
    assert (described["status"], described["error"]) == ("FAILED", error)
    for word in words:
        assert word in message_of(described["cause"])
    assert not system.keys("results/bad")


def test_a_run_brings_its_own_weights_by_model_path(system: System, galaxies: str, tmp_path: Path):
    """In the format that people have, and named as the documents of earlier systems name them."""
    torch.manual_seed(3)
    network = RedshiftModel(ModelConfig())
    torch.nn.init.constant_(network.concat_block[-1].bias, 0.5)  # its answers may be redshifts then
    torch.nn.init.normal_(network.concat_block[-1].weight, std=0.001)
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    system.s3.upload_file(str(tmp_path / "mine.pt"), BUCKET, "models/mine.pt")
    checkpoint.save(tmp_path / "mine.safetensors", network)
    given = {"data_prefix": galaxies, "world_size": 2, "file_limit": 2, "model_path": "s3://tests/models/mine.pt"}
    expect_success(system.run(**given, result_path="results/own"))
    summary, found = system.json("results/own/summary.json"), system.predictions("results/own")
    content = hashlib.sha256((tmp_path / "mine.pt").read_bytes()).hexdigest()
    assert summary["weights"] == f"s3://tests/models/mine.pt, SHA-256 {content}"
    assert summary["gathered"]
    images, magnitudes = (np.concatenate(part) for part in zip(*map(read, system_files(system, galaxies)), strict=True))
    expected = load_engine(tmp_path / "mine.safetensors", threads=1).predict(images, magnitudes)
    assert np.abs(found.redshift - expected).max() <= 1e-5

    expect_success(system.run(data_prefix=galaxies, world_size=2, file_limit=2, result_path="results/images"))
    assert system.json("results/images/summary.json")["weights"] is None
    shipped = load_engine(threads=1, engine="eager").predict(images, magnitudes)
    assert np.abs(system.predictions("results/images").redshift - shipped).max() <= 1e-5


def system_files(system: System, prefix: str) -> list[bytes]:
    return [system.get(f"{prefix}/{number}.safetensors") for number in (1, 2)]


def read(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    tensors = safetensors.numpy.load(content)
    return tensors["images"], tensors["magnitudes"]


def test_weights_that_are_none_fail_the_run_in_one_line(system: System, galaxies: str):
    system.s3.put_object(Bucket=BUCKET, Key="models/none.pt", Body=b"no weights")
    described = system.run(data_prefix=galaxies, world_size=1, model_path="models/none.pt", result_path="results/none")
    assert (described["status"], described["error"]) == ("FAILED", "TooManyFailures")
    cause = message_of(described["cause"])
    assert "rank 0: CheckpointError: s3://tests/models/none.pt (model_path): it is cut off" in cause
    described = system.run(data_prefix=galaxies, model_path="models/lost.pt", result_path="results/none")
    assert (described["status"], described["error"]) == ("FAILED", "InvalidEvent")
    assert "s3://tests/models/lost.pt, which model_path names, does not exist" in message_of(described["cause"])


def test_a_broken_partition_fails_the_run_by_rank_and_object(system: System, tmp_path: Path):
    folder = write_galaxies(tmp_path, 4, 6)
    (folder / "4.safetensors").write_bytes((folder / "4.safetensors").read_bytes()[:-1000])
    system.upload(folder, "broken")
    described = system.run(data_prefix="broken", world_size=2, result_path="results/broken")
    assert described["status"] == "FAILED"
    cause = message_of(described["cause"])
    assert "rank 1: PartitionMalformed: s3://tests/broken/4.safetensors" in cause
    kept = system.predictions("results/broken")
    assert sorted(set(kept.source)) == [f"broken/{number}.safetensors" for number in (1, 2, 3)]
    assert len(kept) == 18
    summary = system.json("results/broken/summary.json")
    assert (summary["partitions"], summary["partitions_completed"], summary["ranks_completed"]) == (4, 3, 1)
    assert summary["wall_s"] < 50  # rank 0 heard that nothing would come and did not wait for it


def test_data_that_is_replaced_after_init_is_refused(system: System, tmp_path: Path):
    system.upload(write_galaxies(tmp_path / "old", 1, 3), "replaced")
    given = {"bucket": BUCKET, "data_prefix": "replaced", "result_path": "results/replaced", "fmi_enabled": False}
    run = system.invoke("init", {"input": given, "execution": "arn:replaced", "started_at": "2026-01-01T00:00:00Z"})
    (item,) = system.json(run["manifest_key"])
    system.upload(write_galaxies(tmp_path / "new", 1, 4), "replaced")
    failure = system.invoke("rank", {"item": item, "attempt": 0})
    assert failure["errorType"] == "InvalidEvent"
    assert "s3://tests/replaced/1.safetensors was replaced or removed" in failure["errorMessage"]
    found = {key for key in system.keys("results/replaced") if not key.startswith("shares/")}
    assert found == {"manifest.json", "0.json"}
    assert "was replaced or removed" in system.json("results/replaced/0.json")["error"]


@pytest.mark.parametrize("function", ["init", "rank", "summarize"])
@pytest.mark.parametrize("payload", [{}, [1], None])
def test_a_function_that_a_person_invokes_says_who_should(system: System, function: str, payload: object):
    failure = system.invoke(function, payload)
    assert failure["errorType"] == "InvalidEvent"
    assert "invoked by the state machine" in failure["errorMessage"]
