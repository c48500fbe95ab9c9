"""The Lambda image by itself."""

import json
from pathlib import Path

import docker
import numpy as np
import pytest

from lambda_image.model import SHIPPED_MODEL, engine
from tests.data import networks
from tests.docker.composition import TOLERANCE

pytestmark = pytest.mark.usefixtures("images")

PREDICT = """
import json, numpy, sys
from lambda_image.model import engine
from lambda_image.model import SHIPPED_MODEL
rng = numpy.random.default_rng(1)
answers = engine.load(SHIPPED_MODEL, 1, sys.argv[1]).predict(
    rng.gamma(1.5, 0.6, (3, 5, 32, 32)).astype("f"), (17 + rng.standard_normal((3, 5))).astype("f"))
print(json.dumps([answers.tolist(), "torch" in sys.modules]))
"""


def run(image: str, *command: str, **options) -> tuple[int, str]:
    """Status and output of a container that ends by itself."""
    container = docker.from_env().containers.run(image, list(command), detach=True, **options)
    try:
        status = container.wait(timeout=120)["StatusCode"]
        return status, container.logs().decode()
    finally:
        container.remove(force=True)


@pytest.mark.parametrize(("target", "name"), [("full", "auto"), ("slim", "fast"), ("full", "eager")])
def test_its_engine_answers_as_the_one_here(target: str, name: str):
    status, said = run(
        f"cosmicai-lambda:{target}", "-c", PREDICT, name, entrypoint=["python"], network_mode="none", read_only=True
    )
    assert status == 0, said
    answers, torch = json.loads(said.splitlines()[-1])
    rng = np.random.default_rng(1)
    images = rng.gamma(1.5, 0.6, (3, 5, 32, 32)).astype(np.float32)
    magnitudes = (17 + rng.standard_normal((3, 5))).astype(np.float32)
    assert np.abs(np.array(answers) - engine.load(SHIPPED_MODEL, 1).predict(images, magnitudes)).max() <= TOLERANCE
    assert torch is (name == "eager")  # it is imported only where it predicts


REFUSED = """
import json, sys
from pathlib import Path
from lambda_image.handlers.rank import RankFunction
environment = RankFunction.from_environ({}).environment
print(json.dumps([environment.engine.name, environment.engine_damage]))
"""


def test_where_its_engine_is_refused_pytorch_answers_and_says_why(tmp_path: Path):
    """On a processor without AVX2, for example, or as here with a library that is damaged."""
    (tmp_path / "engine.so").write_bytes(b"no library")
    (tmp_path / "engine.so").chmod(0o644)
    place = "/var/task/lambda_image/model/redshift.compiled/engine.so"
    mounted = {str(tmp_path / "engine.so"): {"bind": place, "mode": "ro"}}
    options = {"entrypoint": ["python"], "network_mode": "none", "read_only": True, "volumes": mounted}
    status, said = run("cosmicai-lambda:full", "-c", REFUSED, **options)
    assert status == 0, said
    name, damage = json.loads(said.splitlines()[-1])
    assert name == "eager"
    assert f"{place} is damaged" in damage


def test_its_weights_are_known_by_their_time_since_a_start_should_not_read_them():
    """Layers keep no fractions of a second."""
    code = """
from lambda_image.model import SHIPPED_MODEL, engine_files
folder, compiled = engine_files.find(SHIPPED_MODEL)
assert SHIPPED_MODEL.stat().st_mtime_ns == compiled.checkpoint_mtime_ns
"""
    status, said = run("cosmicai-lambda:full", "-c", code, entrypoint=["python"])
    assert status == 0, said


def test_without_pytorch_weights_that_are_not_compiled_are_refused_with_the_reason():
    code = "from pathlib import Path; from lambda_image.model import engine; engine.load(Path('/other.safetensors'), 1)"
    status, said = run("cosmicai-lambda:slim", "-c", code, entrypoint=["python"])
    assert status == 1
    for words in (
        "CheckpointError",
        "there is none in /other.compiled",
        "PyTorch, which would predict, is not installed",
    ):
        assert words in said


def test_without_pytorch_weights_that_a_run_brings_are_refused_with_the_remedy():
    code = """
from lambda_image.manifest import ModelObject
from lambda_image.storage import ObjectStore
from lambda_image.weights import WeightsCache
WeightsCache(1).load(ModelObject("b", "mine.pt", "etag"), ObjectStore("b"))
"""
    status, said = run("cosmicai-lambda:slim", "-c", code, entrypoint=["python"], network_mode="none")
    assert status == 1
    assert "CheckpointError: s3://b/mine.pt (model_path) cannot be run, because this image has no PyTorch" in said
    assert "deploy the full image" in said


def test_the_image_for_networks_in_onnx_runs_one_and_has_none_of_its_own(tmp_path: Path):
    (tmp_path / "model").write_bytes(networks.with_magnitudes().SerializeToString())
    (tmp_path / "model").chmod(0o644)
    code = """
import json, numpy
from lambda_image import load_engine
images, magnitudes = numpy.ones((3, 3, 8, 8), "f"), numpy.arange(16, 22, dtype="f").reshape(3, 2)
print(json.dumps(load_engine("/mnt/model").predict_with_errors(images, magnitudes)[1].tolist()))
"""
    options = {"entrypoint": ["python"], "network_mode": "none", "read_only": True}
    mounted = {str(tmp_path / "model"): {"bind": "/mnt/model", "mode": "ro"}}
    status, said = run("cosmicai-lambda:onnx", "-c", code, volumes=mounted, **options)
    assert status == 0, said
    assert json.loads(said.splitlines()[-1]) == [16.5, 18.5, 20.5]
    code = """
import os
from lambda_image.handlers.rank import RankFunction
RankFunction.from_environ(os.environ)
"""
    status, said = run("cosmicai-lambda:onnx", "-c", code, **options)
    assert status == 1
    assert "there is no model /var/task/lambda_image/model/network.onnx" in said


def test_started_by_hand_it_says_what_to_do():
    status, said = run("cosmicai-lambda:slim", "lambda_image.handlers.init.handler")
    assert status == 64
    for words in (
        "AWS_LAMBDA_RUNTIME_API",
        "docker compose up",
        "lambda_image.handlers.init.handler",
        "aws-lambda-rie",
    ):
        assert words in said


def test_started_by_hand_it_runs_the_emulator_if_that_is_there(tmp_path: Path):
    emulator = tmp_path / "aws-lambda-rie"
    emulator.write_text('#!/bin/sh\necho "emulates $*"\n')
    emulator.chmod(0o755)
    mounted = {str(emulator): {"bind": "/usr/local/bin/aws-lambda-rie", "mode": "ro"}}
    status, said = run("cosmicai-lambda:slim", "some.handler", volumes=mounted)
    assert (status, said) == (0, "emulates /opt/venv/bin/python -m awslambdaric some.handler\n")
