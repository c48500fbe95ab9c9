"""What a user does with docker-compose.yml, and what may happen to its containers meanwhile."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.partition_names import natural_order
from scripts import execution
from tests.data import networks
from tests.docker.composition import PATIENCE_S, ROOT, TOLERANCE, Composition, events, in_process
from tests.integration.system import BUCKET, write_galaxies
from tests.small_checkpoints import small_model

LONG = 1000  # galaxies of a rank that is to be met at work: a second of it, inferred in small batches


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, _composition: Composition) -> str:
    """A prefix with a large partition, the same, for each of four ranks."""
    (file,) = write_galaxies(tmp_path_factory.mktemp("many"), 1, LONG).iterdir()
    for number in range(1, 5):
        _composition.system.s3.upload_file(str(file), BUCKET, f"many/{number}.safetensors")
    return "many"


def test_ranks_gather_over_direct_sockets_and_predict_what_one_process_does(composition: Composition, galaxies: Path):
    system = composition.system
    described = system.run(data_prefix="galaxies", world_size=4, batch_size=16, result_path="results/direct")
    assert described["status"] == "SUCCEEDED", described.get("cause")
    summary = system.json("results/direct/summary.json")
    assert summary["transports"] == {"self": 1, "direct": 3}
    predicted = system.predictions("results/direct")
    files = sorted(galaxies.iterdir(), key=lambda file: natural_order(file.name))
    assert predicted.source.tolist() == [f"galaxies/{file.name}" for file in files for _ in range(30)]
    assert np.abs(predicted.redshift - in_process(files)).max() <= TOLERANCE


@pytest.mark.parametrize(("rank", "lost"), [(0, "process"), (3, "container")])
def test_a_rank_that_is_killed_is_tried_again(composition: Composition, many: str, rank: int, lost: str):
    system, path, started = composition.system, f"results/killed-{rank}", time.time()
    run = system.start(data_prefix=many, world_size=4, batch_size=4, result_path=path)
    victim = composition.at_work(rank, started)
    if lost == "process":
        victim.exec_run(["sh", "-c", "kill -KILL $(pidof python)"])  # it is started anew
    else:
        victim.kill()  # one of the others takes its work
    described = composition.endpoint.wait_for(run)
    victim.start()
    assert described["status"] == "SUCCEEDED", described.get("cause")
    assert system.json(f"{path}/{rank}.json")["attempt"] == 1
    assert len(system.predictions(path).redshift) == 4 * LONG
    composition.wait_until_ready()


def test_a_rendezvous_server_that_is_restarted_costs_no_prediction(composition: Composition, many: str):
    system, path, started = composition.system, "results/restarted", time.time()
    run = system.start(data_prefix=many, world_size=4, batch_size=4, result_path=path)
    composition.at_work(1, started)
    composition.containers("rendezvous")[0].restart(timeout=10)
    described = composition.endpoint.wait_for(run)
    assert described["status"] == "SUCCEEDED", described.get("cause")
    summary = system.json(f"{path}/summary.json")
    assert (summary["samples"], summary["failed_ranks"]) == (4 * LONG, [])


def test_a_run_brings_its_own_weights_to_the_default_image(composition: Composition, galaxies: Path, tmp_path: Path):
    torch.save(small_model().state_dict(), tmp_path / "mine.pt")
    system, path = composition.system, "results/own-weights"
    system.s3.upload_file(str(tmp_path / "mine.pt"), BUCKET, "models/mine.pt")
    described = system.run(data_prefix="galaxies", world_size=2, result_path=path, model_path="models/mine.pt")
    assert described["status"] == "SUCCEEDED", described.get("cause")
    summary = system.json(f"{path}/summary.json")
    assert summary["weights"].startswith("s3://tests/models/mine.pt, SHA-256 ")
    assert (summary["samples"], summary["gathered"]) == (150, True)
    assert [record["engine"] for record in system.json(f"{path}/combined_data.json")] == ["eager"] * 2


def test_what_is_not_understood_is_answered_with_its_error(composition: Composition):
    for function in ("init", "rank", "summarize"):
        answer = composition.system.invoke(function, {"nonsense": 1})
        assert answer["errorType"] == "InvalidEvent", function


def test_a_rank_is_as_confined_as_on_lambda(composition: Composition):
    rank = composition.containers("rank")[0]
    assert rank.exec_run(["id"]).output.decode().split()[:2] == ["uid=993", "gid=990"]
    assert rank.attrs["HostConfig"]["Memory"] == 512 * 2**20
    for place, allowed in (
        ("/tmp", True),
        ("/var/task", False),
        ("/opt/venv", False),
        ("/", False),
        ("/dev/shm", True),
    ):
        code, said = rank.exec_run(["touch", f"{place}/probe"])
        assert (code == 0) is allowed, (place, said)


def test_up_runs_the_sample_leaves_its_results_and_ends_with_the_runs_status(tmp_path: Path, images: None):
    composition = Composition(tmp_path, WORLD_SIZE="2")
    try:
        ended = composition.up()
    finally:
        composition.down()
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]
    assert "1 direct, 1 self" in ended.stdout
    predicted = Predictions.from_parquet((composition.out / "predictions.parquet").read_bytes())
    assert len(predicted.redshift) == execution.SAMPLE_GALAXIES
    expected = in_process(execution.sample(tmp_path / "sample")[:1], rows=128)
    assert np.abs(predicted.redshift[:128] - expected).max() <= TOLERANCE
    assert (composition.out / "summary.json").stat().st_uid == Path(__file__).stat().st_uid


def test_up_runs_a_network_in_onnx_on_galaxies_of_its_sizes(tmp_path: Path, images: None):
    model, data = tmp_path / "mine.onnx", tmp_path / "data" / "1.safetensors"
    model.write_bytes(networks.with_magnitudes().SerializeToString())
    model.chmod(0o644)
    rng = np.random.default_rng(0)
    magnitudes = rng.uniform(18, 20, (30, 2)).astype(np.float32)
    write_partition(data, rng.random((30, 3, 8, 8), np.float32), magnitudes)
    variables = {"LAMBDA_TARGET": "onnx", "MODEL": str(model), "DATA": str(data.parent)}
    composition = Composition(tmp_path, WORLD_SIZE="2", **variables)
    try:
        ended = composition.up()
    finally:
        composition.down()
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]
    predicted = Predictions.from_parquet((composition.out / "predictions.parquet").read_bytes())
    np.testing.assert_allclose(predicted.redshift_err, magnitudes.mean(axis=1), rtol=1e-5)


def test_up_keeps_the_name_of_the_data_however_its_path_is_written(tmp_path: Path, images: None):
    (file,) = write_galaxies(tmp_path / "data", 1, 3).iterdir()
    data = file.rename(file.with_name("my 'own' galaxies, $HOME"))
    composition = Composition(tmp_path, WORLD_SIZE="1", DATA=os.path.relpath(data, ROOT).replace("$", "$$"))
    try:
        ended = composition.up()
    finally:
        composition.down()
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]
    predicted = Predictions.from_parquet((composition.out / "predictions.parquet").read_bytes())
    assert [source.rpartition("/")[2] for source in predicted.source] == [data.name] * 3


@pytest.mark.parametrize(("variable", "name"), [("DATA", "nowhere.pt"), ("MODEL", "nowhere.safetensors")])
def test_up_makes_no_folder_of_what_is_not_there(tmp_path: Path, images: None, variable: str, name: str):
    composition = Composition(tmp_path, WORLD_SIZE="1", **{variable: str(tmp_path / name)})
    try:
        ended = composition.up()
    finally:
        composition.down()
    assert ended.returncode != 0
    assert str(tmp_path / name) in ended.stdout + ended.stderr
    assert not (tmp_path / name).exists()


def test_up_with_data_that_is_no_good_ends_with_an_error(tmp_path: Path, images: None):
    file = tmp_path / "data" / "1.safetensors"
    write_partition(file, np.zeros((1, 5, 32, 32), np.float32), np.zeros((1, 5), np.float32))
    file.write_bytes(file.read_bytes()[:-1])
    composition = Composition(tmp_path, WORLD_SIZE="1", DATA=str(tmp_path / "data"))
    try:
        ended = composition.up()
    finally:
        composition.down()
    assert ended.returncode == 1
    assert "1.safetensors: it should have" in ended.stdout


def test_a_rank_container_whose_first_process_is_killed_comes_back(composition: Composition):
    (victim, *_) = composition.containers("rank")
    before = victim.attrs["State"]["StartedAt"]
    os.kill(victim.attrs["State"]["Pid"], 9)  # its first process, as the kernel kills it when memory runs out
    deadline = time.monotonic() + PATIENCE_S
    while victim.attrs["State"]["StartedAt"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        victim.reload()
    composition.wait_until_ready()


def test_the_server_of_a_composition_has_a_key_that_only_ranks_see(composition: Composition):
    listening = next(events(composition.containers("rendezvous")[0], 1))
    assert listening["authenticated"] is True
    code, key = composition.containers("rank")[0].exec_run(["cat", "/run/rendezvous/key"])
    assert code == 0
    assert len(bytes.fromhex(key.decode())) == 32
    assert composition.containers("init")[0].exec_run(["ls", "/run/rendezvous"])[0] != 0


def test_down_leaves_nothing(tmp_path: Path, images: None):
    with Composition(tmp_path, WORLD_SIZE="1") as served:
        assert served.containers("serve")
        served.down(plain=True)
        assert not served.containers("serve")
        assert not served.containers("rank")
