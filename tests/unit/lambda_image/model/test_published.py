"""What is found in a checkpoint, and what is refused. tests/integration/test_checkpoint_formats.py has every format."""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, published
from tests.small_checkpoints import KEYS, PREFIXES, same_weights, small_model


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return small_model().state_dict()


@pytest.mark.parametrize("value", [3, 0.5, "text", None, True, [1, 2], {"a": 1}])
def test_plain_values_may_lie_among_the_weights(weights, tmp_path, value):
    torch.save({**weights, "other": value}, tmp_path / "state.pt")
    assert same_weights(tmp_path / "state.pt", weights)


def test_parts_compiled_by_themselves_are_found(weights, tmp_path):
    torch.save({name.replace("blocks.0.", "blocks.0._orig_mod."): t for name, t in weights.items()}, tmp_path / "s.pt")
    assert same_weights(tmp_path / "s.pt", weights)


def test_an_average_of_models_is_found(weights, tmp_path):
    torch.save({"n_averaged": torch.tensor(3), **{f"module.{n}": t for n, t in weights.items()}}, tmp_path / "s.pt")
    assert same_weights(tmp_path / "s.pt", weights)


@pytest.mark.parametrize(
    ("names", "bare"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["model.module.a", "model.b"], ["module.a", "b"]),
        (["module.model.a", "module.module.b"], ["model.a", "module.b"]),
        (["modules.a", "modules.b"], ["modules.a", "modules.b"]),
        (["inner.module.a", "inner.module.b"], ["inner.module.a", "inner.module.b"]),
        (["a._orig_mod.w", "a.w"], ["a._orig_mod.w", "a.w"]),
        (["module.model._orig_mod.a"], ["a"]),
        (["module."], [""]),
        ([], []),
    ],
)
def test_only_a_prefix_of_all_names_is_taken_off(names, bare):
    ones = np.ones(1, np.float32)
    assert list(published.assembled(dict.fromkeys(names, 0), lambda _: ones).tensors) == bare


def test_a_key_that_holds_no_weights_is_passed_over(weights, tmp_path):
    for other in ("vit_base", {"depth": 3}, argparse.Namespace(lr=0.1), {}, None):
        torch.save(
            {"state_dict": other, "model": other, "net": {"model": other, "state_dict": weights}}, tmp_path / "s"
        )
        assert same_weights(tmp_path / "s", weights)


def test_dicts_that_hold_one_another_are_searched_once(tmp_path):
    value: dict[str, object] = {}
    value["model"] = {"net": value}
    for _ in range(200):
        value = dict.fromkeys(KEYS, value)
    torch.save(value, tmp_path / "deep.pt")
    with pytest.raises(CheckpointError, match="no state dict"):
        checkpoint.convert(tmp_path / "deep.pt")


def test_a_key_of_doubled_tuples_is_read_at_once(weights, tmp_path):
    """Python hashes both halves of a tuple, even if they are one and the same."""
    torch.save(weights, tmp_path / "state.pt")
    doubled = b")" + b"q\xffh\xff\x86" * 60
    save_with_key(tmp_path / "state.pt", doubled)
    assert same_weights(tmp_path / "state.pt", weights)


def save_with_key(path: Path, key: bytes) -> None:
    """Adds a dict with this key, given as opcodes, beside what an archive holds."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if name.endswith("/data.pkl"):
                data = b"\x80\x02}(X\5\0\0\0notes}" + key + b"NsX\5\0\0\0model" + data[2:-1] + b"u."
            archive.writestr(name, data)


def test_the_same_bytes_under_many_names_are_refused(tmp_path):
    torch.save(dict.fromkeys(map(str, range(50)), torch.ones(1000)), tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="repeat the same bytes"):
        checkpoint.convert(tmp_path / "state.pt")


def test_a_module_of_many_names_is_refused(tmp_path):
    shared = nn.Linear(1, 1)
    shared._parameters.update(dict.fromkeys(map(str, range(1000))))
    module = nn.Sequential(*[nn.Sequential(shared, nn.Identity()) for _ in range(200)])
    torch.save(module, tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match="more than 100,000 parts"):
        checkpoint.convert(tmp_path / "module.pt")


def test_names_that_are_no_line_stay_in_one(weights, tmp_path):
    for value in ({"a\nb": torch.ones(1)}, {**weights, "head.weight": type("A\nB", (), {})}):
        with pytest.MonkeyPatch.context() as patch:
            for thing in value.values():
                if isinstance(thing, type):
                    patch.setattr(sys.modules[__name__], thing.__name__, thing, raising=False)
            torch.save(value, tmp_path / "state.pt", pickle_protocol=4)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.convert(tmp_path / "state.pt")
        assert str(caught.value).isprintable()


@given(
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    metadata=st.sampled_from([None, {"format": "pt"}, {"a": "b"}]),
)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_state_dict_in_safetensors_is_converted(weights, tmp_path, prefixes, dtype, metadata):
    state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    named = {"".join(prefixes) + name: tensor for name, tensor in state.items()}
    safetensors.torch.save_file(named, tmp_path / "state.safetensors", metadata)
    assert not checkpoint.is_converted(tmp_path / "state.safetensors")
    assert same_weights(tmp_path / "state.safetensors", state)


def test_a_second_name_may_be_the_one_that_was_kept(weights, tmp_path):
    """Of two names of one tensor, `safetensors.torch.save_model` keeps the first by the alphabet."""
    module = small_model()
    module.inception_model.conv2d_init = module.inception_model.vis_inception[0]
    safetensors.torch.save_model(module, str(tmp_path / "state.safetensors"))
    with safetensors.safe_open(tmp_path / "state.safetensors", framework="pt") as file:
        assert "inception_model.vis_inception.0.weight" not in file.keys()  # noqa: SIM118
    assert same_weights(tmp_path / "state.safetensors", weights)


def test_what_is_converted_already_is_said(weights, tmp_path):
    checkpoint.save(tmp_path / "model.safetensors", small_model())
    assert checkpoint.is_converted(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"converted already: use it as it is"):
        checkpoint.convert(tmp_path / "model.safetensors")


@pytest.mark.parametrize("cut", [9, 20, -1])
def test_a_safetensors_file_that_is_cut_off_does_not_send_round(weights, tmp_path, cut):
    path = tmp_path / "state.safetensors"
    safetensors.torch.save_file(weights, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="fetch it again") as caught:
        checkpoint.convert(path)
    assert "cosmicai convert" not in str(caught.value)
