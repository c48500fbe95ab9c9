import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model.cxx import compile_library


def test_without_a_compiler_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(CheckpointError, match=r"g\+\+ is not here"):
        compile_library(tmp_path / "engine.so")


def test_an_unknown_machine_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="m68k is not known"):
        compile_library(tmp_path / "engine.so", "g++", "m68k")
