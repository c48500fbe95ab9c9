from dataclasses import replace

import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, engine_builder
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.model.engine_check import Sample


def test_other_sizes_than_the_published_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, RedshiftModel(replace(ModelConfig(), depth=1)))
    with pytest.raises(CheckpointError, match="other sizes"):
        engine_builder.build(path, [], threads=1, say=lambda line: None)


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing_behind(tmp_path, seeded_model, monkeypatch):
    compiler, path = tmp_path / "g++", tmp_path / "models" / "model.safetensors"
    compiler.write_text("#!/bin/sh\necho 'no such instruction' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    checkpoint.save(path, seeded_model.tensors, ModelConfig())
    with pytest.raises(CheckpointError, match="no such instruction"):
        engine_builder.build(
            path, [Sample(seeded_model.images, seeded_model.magnitudes)], threads=2, say=lambda line: None
        )
    assert list(path.parent.iterdir()) == [path]


def test_compiling_again_replaces_what_was_there(tmp_path):
    for content in ("old", "new"):
        folder, target = tmp_path / "partial", tmp_path / "model.compiled"
        folder.mkdir()
        (folder / content).touch()
        engine_builder._put_in_place(folder, target)
    assert [file.name for file in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]
