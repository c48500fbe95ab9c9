"""Checkpoints however they were wrapped, with whatever lies beside the weights, in every format that PyTorch has."""

import argparse
import collections
import datetime
import enum
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint
from tests.small_checkpoints import KEYS, PREFIXES, same_weights, small_model


class Stage(enum.Enum):
    FINE = 1


class Config(dict[str, object]):
    """A container of its own class, as configuration libraries and trainers have."""


def optimizer_state() -> dict[str, Any]:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


BESIDE = {
    "args": argparse.Namespace(lr=0.1, out=Path("/tmp/out"), stage=Stage.FINE),
    "path": PurePosixPath("a/b"),
    "best": np.float64(0.1),
    "epoch": np.int64(7),
    "losses": np.arange(3.0),
    "dtype": torch.float16,
    "device": torch.device("cuda", 0),
    "numpy dtype": np.dtype("float32"),
    "saved at": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    "optimizer": optimizer_state(),
    "stage": Stage.FINE,
    "schedule": functools.partial(max, 1.0),
    "counts": collections.Counter("abca"),
    "nested": collections.defaultdict(list, {(1, "a"): [torch.ones(2)]}),
    "hyper_parameters": Config(depth=1),
    "rng": np.random.default_rng(1),
    "classes": [Stage, Config, nn.Linear],
    "generator": torch.Generator().get_state(),
    "sparse": torch.eye(2).to_sparse(),
    "complex": torch.ones(2, dtype=torch.complex64),
    "small": torch.ones(2).to(torch.float8_e4m3fn),
}


def save_zip(value: object, path: Path) -> None:
    torch.save(value, path)


def save_newest(value: object, path: Path) -> None:
    torch.save(value, path, pickle_protocol=5)


def save_legacy(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return small_model().state_dict()


SAVERS: list[Callable[[object, Path], None]] = [save_zip, save_newest, save_legacy]


# --- wrappers, side data and formats in any combination


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a test's arguments, which are weights
@given(
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=4),
    keys=st.lists(st.sampled_from(KEYS), max_size=3),
    beside=st.sets(st.sampled_from(sorted(BESIDE)), max_size=4),
    save=st.sampled_from(SAVERS),
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_state_dict_is_found_whatever_wraps_it(weights, tmp_path, prefixes, keys, beside, save):
    value: dict[str, Any] = {"".join(prefixes) + name: tensor for name, tensor in weights.items()}
    for key in keys:
        value = {**{name: BESIDE[name] for name in beside}, key: value}
    save(value, tmp_path / "state.pt")
    assert same_weights(tmp_path / "state.pt", weights)


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("name", BESIDE)
def test_nothing_that_lies_beside_the_weights_matters(weights, tmp_path, name, save):
    save({"before": BESIDE[name], "state_dict": weights, "after": [BESIDE[name]]}, tmp_path / "state.pt")
    assert same_weights(tmp_path / "state.pt", weights)


# --- whole modules


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="eager")


MODULE_WRAPPERS: list[Callable[[nn.Module], nn.Module]] = [
    nn.DataParallel,
    compiled,
    torch.optim.swa_utils.AveragedModel,
]


@pytest.fixture
def as_theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], nn.Module]:
    """Gives a module's own classes names that are read, `blocks.` before each."""
    package = type(sys)("blocks")
    monkeypatch.setitem(sys.modules, "blocks", package)

    def rename(module: nn.Module) -> nn.Module:
        for part in module.modules():
            if type(part).__module__.startswith("lambda_image."):
                name = type(part).__name__
                if not hasattr(package, name):
                    setattr(package, name, type(name, (type(part),), {"__module__": "blocks"}))
                part.__class__ = getattr(package, name)
        return module

    return rename


@pytest.fixture
def their_module(as_theirs) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = small_model()
        del model.config
        return as_theirs(model)

    return build


@pytest.mark.filterwarnings("ignore")  # of source code that PyTorch cannot find
@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("wrappers", [(), (0,), (1,), (2,), (0, 1), (1, 0), (0, 0), (1, 2, 0)], ids=str)
def test_a_module_is_found_whatever_wraps_it(their_module, weights, tmp_path, wrappers, save):
    module = their_module()
    for wrapper in wrappers:
        module = MODULE_WRAPPERS[wrapper](module)
    save({"model": module, "args": BESIDE["args"]}, tmp_path / "module.pt")
    assert same_weights(tmp_path / "module.pt", weights)


def test_a_part_that_is_wrapped_is_found(their_module, weights, tmp_path):
    module = their_module()
    module.blocks[0] = compiled(module.blocks[0])
    module.vit_block = nn.DataParallel(module.vit_block)
    torch.save(module, tmp_path / "module.pt")
    assert same_weights(tmp_path / "module.pt", weights)


@pytest.mark.parametrize(
    "name", ["args", "path", "best", "losses", "dtype", "device", "saved at", "optimizer", "counts"]
)
def test_a_module_may_hold_data_of_its_own(their_module, weights, tmp_path, name):
    module = their_module()
    module.own = [{"it": BESIDE[name] if name != "args" else argparse.Namespace(lr=0.1, out=Path("/tmp"))}]
    torch.save(module, tmp_path / "module.pt")
    assert same_weights(tmp_path / "module.pt", weights)


def double(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    return output * 2


OVERRIDES: dict[str, Callable[[nn.Module], object]] = {
    "hook": lambda module: module.head.register_forward_hook(double),
    "hook before": lambda module: module.head.register_forward_pre_hook(double),
    "forward": lambda module: setattr(module.head, "forward", functools.partial(double, 1)),
    "function": lambda module: setattr(module.head, "activation", torch.nn.functional.gelu),
    "object": lambda module: setattr(module, "act", Stage.FINE),
    "nested": lambda module: setattr(module, "acts", [{"a": (functools.partial(double),)}]),
    "module that hooks": lambda module: module.head.register_forward_hook(nn.ReLU()),
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_module_that_was_made_to_compute_something_else_is_refused(their_module, tmp_path, override):
    module = their_module()
    OVERRIDES[override](module)
    torch.save(module, tmp_path / "module.pt")
    with pytest.raises(
        CheckpointError, match=r"names .*, which is not allowed here|head has a _forward_hooks of its own"
    ):
        checkpoint.convert(tmp_path / "module.pt")


# --- no trace, wherever it stands


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Path]]:
    """A module that leaves a trace when it is imported and when its class is used."""
    trace = tmp_path / "trace"
    (tmp_path / "traced_module.py").write_text(
        f"import pathlib\ntrace = pathlib.Path({str(trace)!r})\ntrace.touch()\n"
        "class Built:\n    x = 1\n    def __setstate__(self, state):\n        trace.touch()\n"
        "    def __getstate__(self):\n        return {'a': 1}\n"
        "class Called:\n    def __reduce__(self):\n        return pathlib.Path.touch, (trace,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("traced_module"), trace
    sys.modules.pop("traced_module", None)


PLACES: dict[str, tuple[Callable[[dict[str, torch.Tensor], object], object], bool]] = {
    "beside": (lambda state, thing: {"state_dict": state, "thing": thing}, True),
    "nested": (lambda state, thing: {"optimizer": [{"a": (thing,)}], "model": {"net": state, "b": thing}}, True),
    "key": (lambda state, thing: {thing: 1, (thing, 2): 3, "state_dict": state}, True),
    "under a usual key": (lambda state, thing: {"state_dict": thing, "model": state}, True),
    "root": (lambda state, thing: thing, False),
    "only": (lambda state, thing: {"state_dict": thing}, False),
    "among": (lambda state, thing: {**state, "head.weight": thing}, False),
    "attribute": (lambda state, thing: with_attribute(thing), False),
    "child": (lambda state, thing: with_child(thing), False),
}


def with_attribute(thing: object) -> nn.Module:
    module = nn.Linear(1, 1)
    module.own = [thing]
    return module


def with_child(thing: object) -> nn.Module:
    module = nn.Sequential()
    module._modules["0"] = thing
    return module


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("kind", ["Built", "Called"])
@pytest.mark.parametrize("place", PLACES)
def test_what_a_file_names_leaves_no_trace(weights, traced, tmp_path, place, kind, save):
    module, trace = traced
    put, readable = PLACES[place]
    save(put(weights, getattr(module, kind)()), tmp_path / "file.pt")
    del sys.modules["traced_module"], module
    trace.unlink()
    if readable:
        assert same_weights(tmp_path / "file.pt", weights)
    else:
        with pytest.raises(CheckpointError, match="which is not allowed here and was not executed") as caught:
            checkpoint.convert(tmp_path / "file.pt")
        assert "\n" not in str(caught.value)
    assert not trace.exists()
    assert "traced_module" not in sys.modules


def test_a_program_of_torch_export_is_refused_with_the_lines_that_export_it(tmp_path):
    torch.export.save(torch.export.export(nn.Linear(5, 1), (torch.zeros(2, 5),)), tmp_path / "mine.pt2")
    with pytest.raises(CheckpointError, match=r"a program of torch\.export \(\.pt2\), which is never loaded") as caught:
        checkpoint.convert(tmp_path / "mine.pt2")
    assert "torch.onnx.export(network.eval()" in str(caught.value)
