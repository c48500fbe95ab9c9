from dataclasses import replace
from functools import partial

import pytest
import torch

from lambda_image.errors import CheckpointError, InvalidEvent, UsageError
from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts import compile as command
from tests.unit.scripts.flags import run_command

run = partial(run_command, command)


def test_compiles_what_the_native_engine_is_written_for_and_nothing_else(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, RedshiftModel(replace(ModelConfig(), depth=1)))
    with pytest.raises(CheckpointError, match="other sizes than the published network"):
        run("--model", path)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--model .*model\.safetensors does not exist"):
        run("--model", tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--tolerance", "0"], "--tolerance is 0"),
        (["--tolerance", "nan"], "--tolerance is nan"),
        (["--device", "cuda", "--int8"], "allowed with --device cuda: --bf16"),
    ],
)
def test_what_cannot_be_made_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        run(*given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_said_not_to_be():
    with pytest.raises(InvalidEvent, match="a GPU is asked for"):
        run("--device", "cuda")
