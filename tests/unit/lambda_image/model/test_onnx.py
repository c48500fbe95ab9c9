import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from lambda_image.data.sizes import Sizes
from lambda_image.errors import CheckpointError
from lambda_image.model.onnx import load_onnx
from lambda_image.model.onnx_file import read_contract
from tests.data import networks

ROOT = Path(__file__).resolve().parents[4]
IMAGES = np.random.default_rng(0).random((9, 3, 8, 8), np.float32)
MAGNITUDES = np.random.default_rng(1).random((9, 2), np.float32)


def written(folder: Path, made: onnx.ModelProto | bytes) -> Path:
    path = folder / "mine.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


def test_redshifts_of_a_network_without_magnitudes(tmp_path):
    engine = load_onnx(written(tmp_path, networks.linear()), 1)
    expected = IMAGES.reshape(9, -1) @ networks.WEIGHTS[:, 0]
    np.testing.assert_allclose(engine.predict(IMAGES, MAGNITUDES), expected, rtol=1e-4)
    assert engine.predict(IMAGES.astype(np.float64), np.empty((9, 0))).dtype == np.float32
    assert engine.predict(IMAGES[:0], MAGNITUDES[:0]).shape == (0,)
    assert 0 < engine.parameters_mb < 0.01


@pytest.mark.parametrize("errors", [True, False])
def test_redshifts_in_a_column_and_their_uncertainties(tmp_path, errors):
    engine = load_onnx(written(tmp_path, networks.with_magnitudes(errors)), 2)
    assert engine.sizes == Sizes(3, 8, 2)
    expected = np.concatenate((IMAGES.reshape(9, -1), MAGNITUDES), axis=1).mean(axis=1)
    np.testing.assert_allclose(engine.predict(IMAGES, MAGNITUDES), expected, rtol=1e-5)
    if errors:
        redshifts, uncertain = engine.predict_with_errors(IMAGES, MAGNITUDES)
        np.testing.assert_allclose(redshifts, expected, rtol=1e-5)
        np.testing.assert_allclose(uncertain, MAGNITUDES.mean(axis=1), rtol=1e-5)
    else:
        assert not hasattr(engine, "predict_with_errors")


def test_galaxies_of_other_sizes_are_refused(tmp_path):
    engine = load_onnx(written(tmp_path, networks.with_magnitudes()), 1)
    with pytest.raises(ValueError, match=r"\[N, 3, 8, 8\] and \[N, 2\] are needed"):
        engine.predict(IMAGES, MAGNITUDES[:, :1])


def unknown_operator() -> onnx.ModelProto:
    return networks.model([helper.make_node("Quick", ["image"], ["redshift"])])


def too_many_answers() -> onnx.ModelProto:
    node = helper.make_node("ReduceMean", ["image"], ["redshift"], axes=[3], keepdims=0)
    return networks.model([node], outputs=[networks.tensor("redshift", None)])


def fixed_within() -> onnx.ModelProto:
    """Says that its batch is free, and is made for batches of four."""
    nodes = [
        helper.make_node("Reshape", ["image", "four"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["redshift"], axes=[1], keepdims=0),
    ]
    return networks.model(nodes, [networks.weights("four", [4, 192], np.int64)])


def infinite() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "zero"], ["redshift"]),
    ]
    return networks.model(nodes, [networks.weights("zero", [0.0])])


REFUSED = {
    unknown_operator: "ONNX Runtime .* refuses it: .*Quick",
    too_many_answers: r"its redshift of a batch of 1 is float32 \[1, 3, 8\]; float32 \[1\] is needed",
    fixed_within: "it fails on a batch of 1: ",
    infinite: "it answers inf of a galaxy that is sound",
    networks.mixing: r"depends on the others in its batch, by .*: export it in eval mode \(network\.eval\(\)\)",
    bytes: "it holds no graph",
    lambda: b"<html>": "ONNX does not know|not a protocol buffer|cut off",
}


@pytest.mark.parametrize("make", REFUSED)
def test_what_no_rank_can_use_is_refused_in_one_line(tmp_path, make, capfd):
    path = written(tmp_path, make())
    with pytest.raises(CheckpointError, match=f"^model {re.escape(str(path))}: .*({REFUSED[make]})") as refused:
        load_onnx(path, 1)
    assert "\n" not in str(refused.value)
    assert refused.value.path == str(path)
    assert capfd.readouterr() == ("", "")  # ONNX Runtime says nothing of its own


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no model .*nowhere\.onnx"):
        load_onnx(tmp_path / "nowhere.onnx", 1)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_onnx(tmp_path, 1)


def test_a_file_too_large_for_the_format_is_not_read(tmp_path):
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate((2 << 30) + 1)
    with pytest.raises(CheckpointError, match="more than 2,147,483,648 bytes"):
        load_onnx(tmp_path / "huge.onnx", 1)


def test_the_library_reports_nothing_and_leaves_no_identifier_of_the_machine(tmp_path):
    """It would do so on its own account, unless a variable says that it runs in CI or is told not to."""
    path, home = written(tmp_path, networks.linear()), tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    environ = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home)}
    code = "import sys; from lambda_image import load_engine; load_engine(sys.argv[1], threads=1)"
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run(command, env=environ, cwd=ROOT, check=True, timeout=60)
    assert list(home.iterdir()) == []


def test_a_file_that_keeps_to_the_contract_and_is_damaged_elsewhere_is_refused(tmp_path: Path):
    """As a contract does not look at what tools have noted of hidden values."""
    made = networks.with_magnitudes()
    made.graph.value_info.add(name="hidden")
    whole = made.SerializeToString()
    spoiled = whole.replace(b"\x0a\x06hidden", b"\x0a\x07hidden")
    assert spoiled != whole
    assert read_contract(spoiled) == read_contract(whole)
    with pytest.raises(CheckpointError, match=r"mine\.onnx") as caught:
        load_onnx(written(tmp_path, spoiled), 1)
    assert "\n" not in str(caught.value)
