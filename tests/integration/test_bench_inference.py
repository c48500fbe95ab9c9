"""The benchmark of inference, as short as it can be, with real processes."""

import json
from pathlib import Path

import pytest
import torch

from lambda_image.model import checkpoint
from scripts.bench import inference
from scripts.bench.inference import command
from scripts.bench.inference.plan import InferencePlan
from scripts.bench.processes import run_python
from scripts.cli import main
from tests.small_checkpoints import small_model
from tests.unit.scripts.flags import parsed

SHORT = InferencePlan(rounds=1, batch_sizes=(4,), seconds=0.01, galaxies=8, cold_starts=1)


def bench(*flags: object) -> int:
    return command.run(parsed(inference, *flags), SHORT)


@pytest.mark.timeout(300)  # seven processes, two of which import PyTorch, where cores may be short
def test_measures_an_engine_beside_the_processors_limit(compiled_checkpoint: Path, tmp_path: Path, capsys):
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    assert (
        bench("--model", compiled_checkpoint, "--only", "fast", "--threads", 1, "--json", figures, "--picture", picture)
        == 0
    )
    report = json.loads(figures.read_text())
    assert report["flops_per_sample"] == 221_536_000
    assert report["gemm"]["figures"]["gflops"]["median"] > 0
    (rate,) = report["inference"]
    assert (rate["contender"], rate["batch_size"]) == ("fast", 4)
    assert rate["figures"]["peak_mb"]["high"] <= 600
    assert {cold["contender"] for cold in report["cold_start"]} == {"import torch", "fast"}
    assert set(report["ratios"]) == {"fast to the GEMM limit", "cold start of fast to import torch"}
    assert picture.stat().st_size > 0
    assert "fast to the GEMM limit" in capsys.readouterr().out


def test_what_is_exported_for_the_rivals_answers_as_the_model_does(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra bench is not installed")
    pytest.importorskip("onnxscript", reason="the extra bench is not installed")
    model, onnx = tmp_path / "model.safetensors", tmp_path / "model.onnx"
    checkpoint.save(model, small_model())
    run_python(["-m", "scripts.bench.inference.export", str(model), str(onnx)])
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    images, magnitudes = torch.randn(7, 5, 32, 32), torch.randn(7, 5)  # another number than it was traced with
    answers = session.run(None, {"images": images.numpy(), "magnitudes": magnitudes.numpy()})[0]
    expected = checkpoint.load(model)(images, magnitudes)
    torch.testing.assert_close(torch.from_numpy(answers), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "slow"], "'slow' is unknown; allowed: fast, int8"),
        (["--threads", "0"], "--threads is 0"),
        (["--device", "cuda", "--only", "fast"], "'fast' is unknown; allowed: eager, bf16"),
        (["--picture", "bench.gif"], "must end in .svg or .png"),
        (["--json", "no/such/folder/bench.json"], "in a folder that does not exist"),
    ],
)
def test_flags_that_cannot_be_meant(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "inference", *flags]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "InvalidEvent" not in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "inference", "--device", "cuda"]) == 1
    assert "a GPU is asked for" in capsys.readouterr().err
