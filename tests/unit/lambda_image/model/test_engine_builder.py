import json
from dataclasses import replace

import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, engine_builder
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.model.engine_files import folder_of
from lambda_image.model.fast import Fast


def test_what_is_compiled_answers_as_the_published_code(compiled_golden, golden_sample, shared):
    truth = np.load(shared / "golden" / "outputs.npz")["output_float64"][:, 0]
    folder = folder_of(compiled_golden)
    for name in engine_builder.runnable_sets(folder):
        answers = Fast(folder, 2, instruction_set=name).predict(golden_sample.images, golden_sample.magnitudes)
        assert np.abs(answers - truth).max() <= 3e-5, name


def test_the_record_says_how_far_the_answers_are(compiled_golden):
    check = json.loads((folder_of(compiled_golden) / "engine.json").read_text())["checks"]["float32"]
    assert 0 < check["max_difference"] <= 3e-5


def test_other_sizes_than_the_published_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, RedshiftModel(replace(ModelConfig(), depth=1)))
    with pytest.raises(CheckpointError, match="other sizes"):
        engine_builder.build(path, [], threads=1, say=lambda line: None)


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing_behind(tmp_path, golden, golden_sample, monkeypatch):
    compiler, path = tmp_path / "g++", tmp_path / "models" / "model.safetensors"
    compiler.write_text("#!/bin/sh\necho 'no such instruction' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    checkpoint.save(path, dict(golden["tensors"]()), ModelConfig())
    with pytest.raises(CheckpointError, match="no such instruction"):
        engine_builder.build(path, [golden_sample], threads=2, say=lambda line: None)
    assert list(path.parent.iterdir()) == [path]


def test_compiling_again_replaces_what_was_there(tmp_path):
    for content in ("old", "new"):
        folder, target = tmp_path / "partial", tmp_path / "model.compiled"
        folder.mkdir()
        (folder / content).touch()
        engine_builder._put_in_place(folder, target)
    assert [file.name for file in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]
