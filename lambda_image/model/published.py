"""Checkpoints in the published format, read without executing anything that their pickle names.

Published is the whole module, pickled inside DataParallel; its bare module and plain state dicts are read too. A module
says more than its tensors' shapes (strides, epsilons, activations): `differences` holds all of that against the
architecture here, so that a checkpoint which this architecture would answer differently is refused and not converted.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from lambda_image.data.byte_source import byte_source
from lambda_image.data.torch_archive import ArchiveError, Inert, StoredTensor, TorchArchive
from lambda_image.model.architecture import InceptionBlock, RedshiftModel

CLASSES = (
    "torch.nn.modules.*",
    "torch.nn.parallel.data_parallel.DataParallel",
    "torch.nn.parallel.distributed.DistributedDataParallel",
    "torch.device",
    "blocks.*",
    "NormalCell.*",
    "timm.*",
)
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")  # under which training scripts keep a state dict
ALIASES = {"inception_model.conv2d_init": "inception_model.vis_inception.0"}  # the same module under a second name

# Bounds on what a hostile pickle can make of few bytes by naming the same object again and again.
MAX_MODULES = 10_000  # the published network has 380
MAX_NAME = 200  # characters of a tensor's name; the published ones have up to 58

# What a module does beyond its tensors' shapes. A module of another class in its place is a difference, too.
ATTRIBUTES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
    nn.Linear: (),
    nn.LayerNorm: ("normalized_shape", "eps"),
    nn.BatchNorm2d: ("eps", "track_running_stats"),
    nn.AvgPool2d: ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.ReLU: (),
    nn.SiLU: (),
    nn.Sequential: (),
    nn.ModuleList: (),
}
PAIRS = {"kernel_size", "stride", "padding", "dilation"}  # one number stands for two equal ones
# Modules that ours lacks and that change no answer: what rests in inference; second names; the one activation that ours
# calls as a function. By class, and by path where a module of that class would matter elsewhere.
RESTING = re.compile(r"(?!blocks\.\d+\.mlp\.act ).+ (.+\.)?(Dropout|DropPath|Identity)")
UNLISTED = re.compile(
    r"inception_model\.conv2d_init torch\.nn\.modules\.conv\.Conv2d"
    r"|inception_model\.avgpool\d* torch\.nn\.modules\.pooling\.AvgPool2d"
    r"|blocks\.\d+\.mlp\.act torch\.nn\.modules\.activation\.GELU"
)


@dataclass(frozen=True)
class Published:
    """Float32 tensors by their names in the state dict; modules by their paths, none if the file is a state dict."""

    tensors: dict[str, np.ndarray]
    modules: dict[str, Inert]

    def attribute(self, path: str, name: str) -> Any:
        module = self.modules.get(path)
        return module.state.get(name) if module is not None else None


def read(path: str | os.PathLike[str]) -> Published:
    """Raises ArchiveError, which says what is wrong but not with which file, and OSError."""
    archive = TorchArchive(byte_source(path), CLASSES)
    root = archive.root
    modules: dict[str, Inert] = {}
    if isinstance(root, dict):
        root = next((root[key] for key in STATE_DICT_KEYS if isinstance(root.get(key), (dict, Inert))), root)
    if isinstance(root, Inert):
        modules, stored = _walk(root)
    elif isinstance(root, dict):
        stored = {name: tensor for name, tensor in root.items() if isinstance(name, str) and len(name) <= MAX_NAME}
        if len(stored) != len(root) or not all(isinstance(tensor, StoredTensor) for tensor in stored.values()):
            raise ArchiveError("it holds a dict that is no state dict: every value must be a tensor under its name")
    else:
        raise ArchiveError("it holds neither a module nor a state dict")
    if all(name.startswith("module.") for name in stored):  # DataParallel's state dict
        stored = {name.removeprefix("module."): tensor for name, tensor in stored.items()}
    # How many batches training has seen, which only training asks.
    stored = {name: tensor for name, tensor in stored.items() if not name.endswith("num_batches_tracked")}
    return Published(dict(_arrays(archive, stored)), modules)


def differences(published: Published, model: RedshiftModel) -> Iterator[str]:
    """Each way in which the published module would compute something else than `model`; none for a state dict."""
    if not published.modules:
        return
    ours = dict(model.named_modules())
    for path, module in ours.items():
        if type(module) not in ATTRIBUTES:
            continue
        name = f"{type(module).__module__}.{type(module).__qualname__}"
        if path not in published.modules:
            yield f"{path} is missing (a {name} here)"
        elif published.modules[path].name != name:
            yield f"{path} is a {published.modules[path].name[:100]} and not a {name}"
        else:
            expected = {attribute: getattr(module, attribute) for attribute in ATTRIBUTES[type(module)]}
            yield from _attribute_differences(published, path, expected)
    for path, expected in _published_attributes(model):
        yield from _attribute_differences(published, path, expected)
    for path, inert in published.modules.items():
        described = f"{path} {inert.name}"
        if path not in ours and not RESTING.fullmatch(described) and not UNLISTED.fullmatch(described):
            yield f"{path} ({inert.name[:100]}) has no place in the architecture"


def _published_attributes(model: RedshiftModel) -> Iterator[tuple[str, dict[str, object]]]:
    """Attributes of the published classes that decide what they compute, and the values that `model` stands for."""
    config = model.config
    yield "inception_model", {"Inception_only": False, "magnitude": True, "uk_paper": False}
    for index in range(config.depth):
        yield f"blocks.{index}", {"class_token": True}
        yield f"blocks.{index}.attn", {"num_heads": config.heads, "scale": (config.embed_dim / config.heads) ** -0.5}
        yield f"blocks.{index}.mlp.act", {"approximate": "none"}
    for path, module in model.named_modules():
        if isinstance(module, InceptionBlock):
            yield path, {"is_custom": not module.with_5x5}


def _attribute_differences(published: Published, path: str, expected: dict[str, object]) -> Iterator[str]:
    for attribute, ours in expected.items():
        if path in published.modules and attribute in published.modules[path].state:  # else it is younger than the file
            theirs = published.modules[path].state[attribute]
            if not _same(_paired(attribute, theirs), _paired(attribute, ours)):
                shown = repr(theirs)[:60] if isinstance(theirs, (bool, int, float, str)) else type(theirs).__name__
                yield f"{path}.{attribute} is {shown} and not {ours!r}"


def _paired(attribute: str, value: object) -> object:
    return (value, value) if attribute in PAIRS and isinstance(value, int) else value


def _same(theirs: object, ours: object) -> bool:
    if isinstance(ours, float):
        return isinstance(theirs, (int, float)) and math.isclose(theirs, ours, rel_tol=1e-6)
    return isinstance(theirs, (bool, int, str, tuple, type(None))) and theirs == ours


def _walk(root: Inert) -> tuple[dict[str, Inert], dict[str, StoredTensor]]:
    """Modules and state dict of a pickled module, by the rules of nn.Module.state_dict."""
    modules: dict[str, Inert] = {}
    tensors: dict[str, StoredTensor] = {}
    pending = [("", root)]
    while pending:
        path, module = pending.pop()
        parts = [module.state.get(key, {}) for key in ("_parameters", "_buffers", "_modules")]
        transient = module.state.get("_non_persistent_buffers_set", ())
        if not all(isinstance(part, dict) for part in parts) or not isinstance(transient, (set, tuple)):
            raise ArchiveError(f"{path or 'the root'} ({module.name[:100]}) is not a module")
        if module.name.startswith("torch.nn.parallel."):
            wrapped = parts[2].get("module")
            if path or not isinstance(wrapped, Inert):
                raise ArchiveError(f"{path or 'the root'} is a {module.name} around no module")
            pending.append((path, wrapped))
            if wrapped.name.startswith("torch.nn.parallel."):
                raise ArchiveError("it holds a parallel module within a parallel module")
            continue
        modules[path] = module
        if len(modules) + len(pending) > MAX_MODULES:
            raise ArchiveError(f"it has more than {MAX_MODULES:,} modules")
        for index, part in enumerate(parts):
            for name, value in part.items():
                full = f"{path}.{name}" if path else name
                if not isinstance(name, str) or len(full) > MAX_NAME:
                    raise ArchiveError(f"a part of {path or 'the root'} has no usable name")
                if value is None or name in transient:
                    continue
                if index == 2 and isinstance(value, Inert):
                    pending.append((full, value))
                elif index < 2 and isinstance(value, StoredTensor):
                    tensors[full] = value
                else:
                    raise ArchiveError(f"{full} is neither a tensor nor a module")
    return modules, tensors


def _arrays(archive: TorchArchive, stored: dict[str, StoredTensor]) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in stored.items():
        prefix = next((prefix for prefix in ALIASES if name.startswith(prefix + ".")), None)
        array = archive.array(tensor)
        if prefix is not None:
            original = stored.get(ALIASES[prefix] + name.removeprefix(prefix))
            if original != tensor and (original is None or not np.array_equal(archive.array(original), array)):
                raise ArchiveError(f"{name} differs from {ALIASES[prefix]}, of which it should be a second name")
            continue
        if array.dtype.kind != "f":
            raise ArchiveError(f"{name} is {array.dtype}; weights are floating-point numbers")
        with np.errstate(over="ignore"):
            values = array.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise ArchiveError(f"{name} holds a value that is not finite")
        yield name, values
