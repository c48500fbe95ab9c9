from scripts.bench.inference.command import _able
from scripts.bench.inference.contenders import FAST, ONNX_RUNTIME, OPENVINO, STREAMS


def test_a_contender_whose_package_is_missing_is_left_out_and_named() -> None:
    said: list[str] = []
    names = [FAST, ONNX_RUNTIME, ONNX_RUNTIME + STREAMS, OPENVINO]
    assert _able(names, said.append, {"openvino": 1, "onnx": 1, "onnxscript": 1}.get) == [FAST, OPENVINO]
    assert said[0] == f"{ONNX_RUNTIME} is left out: pip install -e '.[bench]' installs onnxruntime"
    assert len(said) == 2


def test_both_rivals_need_what_writes_the_model() -> None:
    said: list[str] = []
    names = [FAST, ONNX_RUNTIME, OPENVINO]
    assert _able(names, said.append, {"onnxruntime": 1, "openvino": 1, "onnx": 1}.get) == [FAST]
    assert all("installs onnxscript" in line for line in said)
