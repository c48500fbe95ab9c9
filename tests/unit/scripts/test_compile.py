import argparse
from dataclasses import replace

import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts import compile as command


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_compiles_what_the_native_engine_is_written_for_and_nothing_else(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, RedshiftModel(replace(ModelConfig(), depth=1)))
    with pytest.raises(CheckpointError, match="other sizes than the published network"):
        run("--model", path)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*model\.safetensors"):
        run("--model", tmp_path / "model.safetensors")
