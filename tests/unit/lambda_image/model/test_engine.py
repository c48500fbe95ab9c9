import numpy as np
import pytest
import torch

from lambda_image.data.sizes import Sizes
from lambda_image.errors import CheckpointError, InvalidEvent
from lambda_image.model import SHIPPED_MODEL, engine, engine_files
from lambda_image.model.engine_files import Compiled
from lambda_image.process import usable_cpus
from tests.data import networks


def test_fast_is_no_other(tmp_path):
    with pytest.raises(CheckpointError, match="no float32 engine"):
        engine.load(tmp_path / "model.safetensors", 1, "fast")


def test_the_front_door_takes_the_shipped_weights_and_all_cpus(caplog):
    made = engine.load_engine(engine="eager")
    assert (made.name, made.device) == ("eager", "cpu")
    assert torch.get_num_threads() == usable_cpus()
    assert not caplog.records


def test_the_front_door_warns_once_where_pytorch_takes_the_compiled_engines_place(weights, caplog):
    assert engine.load_engine(str(weights), threads=1).name == "eager"
    assert torch.get_num_threads() == 1
    assert [record.name for record in caplog.records] == ["lambda_image"]
    assert "make it with `cosmicai compile" in caplog.text


@pytest.mark.filterwarnings("error")
def test_the_front_door_takes_networks_of_other_sizes():
    class Small:
        name, device, parameters_mb, sizes = "eager", "cpu", 0.0, Sizes(3, 16, 3)

        def predict(self, images, magnitudes):
            return magnitudes[:, 0] / 100

    images, magnitudes = np.ones((2, 3, 16, 16)), np.full((2, 3), 17.0)
    magnitudes[1, 2] = np.nan
    np.testing.assert_array_equal(engine.JudgingEngine(Small()).predict(images, magnitudes), np.float32([0.17, np.nan]))
    with pytest.raises(ValueError, match=r"\[N, 3, 16, 16\] and \[N, 3\] are needed"):
        engine.JudgingEngine(Small()).predict(np.ones((2, 5, 32, 32)), np.ones((2, 5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "quick"},
            "no engine 'quick' on the device 'cpu'; allowed: cpu: auto, fast, int8, eager, bf16, onnx; cuda",
        ),
        ({"engine": "fast", "device": "cuda"}, "no engine 'fast' on the device 'cuda'"),
        ({"device": "tpu"}, "no engine 'auto' on the device 'tpu'"),
        ({"threads": 0}, "threads is 0; allowed: a whole number from 1"),
    ],
)
def test_the_front_door_says_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        engine.load_engine(**options)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    path.symlink_to(SHIPPED_MODEL)
    return path


def record(path, device, *precisions):
    folder = engine_files.folder_of(path, device)
    folder.mkdir()
    Compiled.of(path, 60.0, {precision: {} for precision in precisions}).write(folder)


def test_bf16_answers_for_weights_that_it_was_checked_on(weights):
    with pytest.raises(CheckpointError, match=r"no bf16 engine .* `cosmicai compile --model .* --bf16`"):
        engine.load(weights, 1, "bf16")
    record(weights, "cpu", "float32", "bf16")
    made = engine.load(weights, 1, "bf16")
    assert (made.name, made.device) == ("bf16", "cpu")


def test_a_check_on_the_processor_says_nothing_of_a_gpu(weights):
    record(weights, "cpu", "float32", "bf16")
    with pytest.raises(CheckpointError, match=r"`cosmicai compile --model .* --device cuda --bf16`"):
        engine.load(weights, 1, "bf16", device="cuda")


def test_on_a_gpu_pytorch_answers(weights):
    record(weights, "cuda", "float32", "bf16")
    for name, expected in (("auto", "eager"), ("eager", "eager"), ("bf16", "bf16")):
        if torch.cuda.is_available():
            made = engine.load(weights, 1, name, device="cuda")
            assert (made.name, made.device) == (expected, "cuda")
        else:
            with pytest.raises(InvalidEvent, match="a GPU is asked for"):
                engine.load(weights, 1, name, device="cuda")


@pytest.mark.parametrize("name", ["model.onnx", "model"])  # as compose mounts it, without an ending
def test_an_onnx_file_is_run_by_onnx_runtime(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(networks.linear().SerializeToString())
    for choice in ("auto", "onnx"):
        made = engine.load(path, 1, choice)
        assert (made.name, made.device, made.sizes) == ("onnx", "cpu", Sizes(3, 8, 0))
    with pytest.raises(CheckpointError, match="is an ONNX file: use INFERENCE_ENGINE=onnx"):
        engine.load(path, 1, "eager")
    with pytest.raises(CheckpointError, match="no float32 engine"):
        engine.load(path, 1, "fast")


def test_only_an_engine_that_says_how_uncertain_it_is_counts_as_one(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(networks.linear().SerializeToString())
    assert not isinstance(engine.load(path, 1), engine.UncertainEngine)
    path.write_bytes(networks.with_magnitudes().SerializeToString())
    assert isinstance(engine.load(path, 1), engine.UncertainEngine)


def test_a_checkpoint_is_not_taken_for_onnx(weights):
    assert not engine_files.is_onnx(weights)
    assert not engine_files.is_onnx(weights.with_name("nowhere"))
    with pytest.raises(CheckpointError, match=r"is not a protocol buffer|ONNX does not know"):
        engine.load(weights, 1, "onnx")


def test_a_header_whose_length_begins_like_onnx_is_safetensors(tmp_path):
    (tmp_path / "model").write_bytes((0x108).to_bytes(8, "little") + b"{" + bytes(0x107))
    assert not engine_files.is_onnx(tmp_path / "model")
