"""Checkpoints in the published format, read without executing anything that their pickle names.

Published is the whole module, pickled inside DataParallel; its bare module and plain state dicts are read too, whatever
wrapped them and whatever lies beside them. A module says more than its tensors' shapes (strides, epsilons,
activations): `differences` holds all of that against the architecture here, so that a checkpoint which this
architecture would answer differently is refused and not converted.
"""

import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from torch import nn

from lambda_image.data.byte_source import ByteSource, TruncatedError, byte_source
from lambda_image.data.inert_pickle import ArchiveError, Inert, not_allowed, shown
from lambda_image.data.torch_archive import TENSOR_DATASET, StoredTensor, TorchArchive
from lambda_image.model.architecture import InceptionBlock, RedshiftModel

MODULES = ("torch.nn.modules.", "blocks.", "NormalCell.", "timm.")
# What an attribute of a module may hold beside modules and plain values: data, which computes nothing.
DATA = re.compile(
    r"torch\.(device|Size|Tensor|\w+Storage|bfloat16|bool|(float|u?int|complex)\d+\w*)|torch\.serialization\._get_layout"
    r"|argparse\.Namespace|omegaconf\..+|(datetime|pathlib(\._local)?|collections)\.\w+|_codecs\.encode|a key"
    r"|numpy\.(dtype|ndarray)|numpy\._?core\.multiarray\.(scalar|_reconstruct)"
)
# Modules that add nothing to what they hold, and the name under which they hold it.
WRAPPERS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
}
COMPILED = "._orig_mod."  # in the names of a part that was compiled by itself
PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "network.")  # of torch.compile, DataParallel, Lightning, ...
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "module", "model_state", "net", "network")
COUNTERS = ("num_batches_tracked", "n_averaged")  # tensors that only training asks for
REPLACED = ("forward", "_forward_hooks", "_forward_pre_hooks")  # attributes of one module that change what it computes
ALIASES = {"inception_model.conv2d_init": "inception_model.vis_inception.0"}  # the same module under a second name
PARTS = ("_parameters", "_buffers", "_modules")
EXPORT = (
    'export another network to ONNX: torch.onnx.export(network.eval(), (image, magnitude), "mine.onnx", '
    'input_names=["image", "magnitude"], output_names=["redshift"], dynamic_shapes=({0: "batch"}, {0: "batch"}), '
    "external_data=False), as docs/models.md says"
)
REMEDY = f"save the state dict of the published network, model.state_dict(), or {EXPORT}"

# Bounds on what a hostile pickle can make of few bytes by naming the same object again and again.
MAX_MODULES = 10_000  # the published network has 380
MAX_PARTS = 100_000  # parameters, buffers and modules that modules list
MAX_NAME = 200  # characters of a tensor's name; the published ones have up to 58
MAX_DEPTH = 16  # of dicts around a state dict
MAX_REPEATED = 4  # times a file's size that its tensors may have

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
    source = byte_source(path)
    archive = TorchArchive(source)
    found = _find(archive.root, set())
    modules: dict[str, Inert] = {}
    if isinstance(found, Inert):
        modules, stored = _walk(found)
    elif isinstance(found, dict):
        stored = _state_dict(found)
    else:
        raise _no_weights(archive.root)
    _check_repetition(source, stored)
    return assembled(stored, archive.array, modules)


def is_dataset(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a pickled dataset of PyTorch and no checkpoint."""
    try:
        root = TorchArchive(byte_source(path)).root
    except (ArchiveError, TruncatedError, OSError):
        return False
    return isinstance(root, Inert) and root.name == TENSOR_DATASET


T = TypeVar("T", bound=Hashable)


def assembled(
    stored: Mapping[str, T], array: Callable[[T], np.ndarray], modules: Mapping[str, Inert] | None = None
) -> Published:
    """What `array` reads of tensors that are `stored` under the names of a state dict, wrapped or not."""
    stored = {name: tensor for name, tensor in stored.items() if not name.endswith(COUNTERS)}
    if not modules:  # else wrappers are known by their class
        stored = dict(zip(_bare_names(stored), stored.values(), strict=True))
    return Published(dict(_arrays(stored, array)), dict(modules or {}))


def _find(value: object, seen: set[int], depth: int = 0) -> dict[Any, Any] | Inert | None:
    """The module or state dict that `value` is or holds under the usual keys; no dict is searched twice."""
    if isinstance(value, Inert):
        return value if "_modules" in value.state or value.name in WRAPPERS else None
    if not isinstance(value, dict) or id(value) in seen or depth > MAX_DEPTH:
        return None
    seen.add(id(value))
    for key in STATE_DICT_KEYS:
        if (found := _find(value.get(key), seen, depth + 1)) is not None:
            return found
    return value if any(isinstance(tensor, StoredTensor) for tensor in value.values()) else None


def _no_weights(root: object) -> ArchiveError:
    candidates = [root, *(root.get(key) for key in STATE_DICT_KEYS)] if isinstance(root, dict) else [root]
    if (inert := next((value for value in candidates if isinstance(value, Inert)), None)) is not None:
        return not_allowed(inert.name, REMEDY)
    if isinstance(root, dict):
        return ArchiveError(f"it holds a dict that is no state dict, as it has other values than tensors: {REMEDY}")
    return ArchiveError(f"it holds neither a module nor a state dict: {REMEDY}")


def _state_dict(found: Mapping[Any, Any]) -> dict[str, StoredTensor]:
    """Its tensors. Plain values beside them are no weights; what should be one and is not will be missed."""
    stored = {}
    for name, value in found.items():
        if isinstance(value, Inert):
            raise not_allowed(value.name, REMEDY)
        if isinstance(value, StoredTensor):
            if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
                unusable = "it holds a dict that is no state dict, as a tensor in it has no usable name"
                raise ArchiveError(f"{unusable}: {REMEDY}")
            stored[name] = value
    return stored


def _bare_names(names: Iterable[str]) -> list[str]:
    """Names without the prefixes that all of them carry, and without the mark of parts compiled by themselves."""
    bare = list(names)
    while bare and (prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in bare)), None)):
        bare = [name.removeprefix(prefix) for name in bare]
    unmarked = [name.replace(COMPILED, ".") for name in bare]
    return unmarked if len(set(unmarked)) == len(bare) else bare


def _check_repetition(source: ByteSource, stored: Mapping[str, StoredTensor]) -> None:
    total = sum(tensor.nbytes for tensor in stored.values())
    if source.size is not None and total > MAX_REPEATED * source.size:
        raise ArchiveError(f"its tensors repeat the same bytes: {total:,} in a file of {source.size:,}")


def differences(published: Published, model: RedshiftModel) -> Iterator[str]:
    """Each way in which the published module would compute something else than `model`; none for a state dict."""
    if not published.modules:
        return
    ours = dict(model.named_modules())
    for path, module in ours.items():
        if type(module) not in ATTRIBUTES or (isinstance(module, nn.Sequential) and not len(module)):
            continue
        name = f"{type(module).__module__}.{type(module).__qualname__}"
        if path not in published.modules:
            yield f"{path} is missing (a {name} here)"
        elif published.modules[path].name != name:
            yield f"{path} is a {shown(published.modules[path].name, 100)} and not a {name}"
        else:
            expected = {attribute: getattr(module, attribute) for attribute in ATTRIBUTES[type(module)]}
            yield from _attribute_differences(published, path, expected)
    for path, expected in _published_attributes(model):
        yield from _attribute_differences(published, path, expected)
    for path, inert in published.modules.items():
        for attribute in REPLACED:
            if inert.state.get(attribute):
                yield f"{path or 'the root'} has a {attribute} of its own"
        described = f"{path} {inert.name}"
        if path not in ours and not RESTING.fullmatch(described) and not UNLISTED.fullmatch(described):
            yield f"{path} ({shown(inert.name, 100)}) has no place in the architecture"


def _published_attributes(model: RedshiftModel) -> Iterator[tuple[str, dict[str, object]]]:
    """Attributes of the published classes that decide what they compute, and the values that `model` stands for."""
    config = model.config
    yield (
        "inception_model",
        {
            "Inception_only": False,
            "magnitude": config.magnitude_features > 0,
            "uk_paper": False,
        },
    )
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
    seen: set[int] = set()
    pending = [("", root)]
    visited = parts_visited = 0
    while pending:
        path, module = pending.pop()
        visited += 1
        if visited + len(pending) > MAX_MODULES:
            raise ArchiveError(f"it has more than {MAX_MODULES:,} modules")
        if module.name in WRAPPERS:
            pending.append((path, _wrapped(path, module)))
            continue
        if not module.name.startswith(MODULES):
            raise not_allowed(module.name, REMEDY)
        parts = [module.state.get(key, {}) for key in PARTS]
        transient = module.state.get("_non_persistent_buffers_set", ())
        if not all(isinstance(part, dict) for part in parts) or not isinstance(transient, (set, tuple)):
            raise ArchiveError(f"{path or 'the root'} ({shown(module.name, 100)}) is not a module")
        _check_attributes([value for key, value in module.state.items() if key not in PARTS], seen)
        modules[path] = module
        parts_visited += sum(map(len, parts))
        if parts_visited > MAX_PARTS:
            raise ArchiveError(f"its modules have more than {MAX_PARTS:,} parts")
        for index, part in enumerate(parts):
            for name, value in part.items():
                full = f"{path}.{name}" if path else name
                if not isinstance(name, str) or len(full) > MAX_NAME or not name.isprintable():
                    raise ArchiveError(f"a part of {path or 'the root'} has no usable name")
                if value is None or name in transient:
                    continue
                if index == 2 and isinstance(value, Inert):
                    pending.append((full, value))
                elif index < 2 and isinstance(value, StoredTensor):
                    tensors[full] = value
                elif isinstance(value, Inert):
                    raise not_allowed(value.name, REMEDY)
                else:
                    raise ArchiveError(f"{full} is neither a tensor nor a module")
    return modules, tensors


def _wrapped(path: str, wrapper: Inert) -> Inert:
    submodules = wrapper.state.get("_modules")
    inner = submodules.get(WRAPPERS[wrapper.name]) if isinstance(submodules, dict) else None
    if inner is None and wrapper.args:  # a compiled module is pickled as a call
        inner = wrapper.args[0]
    if not isinstance(inner, Inert):
        raise ArchiveError(f"{path or 'the root'} is a {wrapper.name} around no module")
    return inner


def _check_attributes(pending: list[Any], seen: set[int]) -> None:
    """Refuses whatever in a module's attributes might compute something. Each object is looked at once."""
    while pending:
        value = pending.pop()
        if not isinstance(value, (Inert, dict, list, tuple, set, frozenset)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Inert):
            if not (value.name.startswith(MODULES) or value.name in WRAPPERS or DATA.fullmatch(value.name)):
                raise not_allowed(value.name, REMEDY)
            pending += [value.args, value.state]
        else:
            pending += value.values() if isinstance(value, dict) else value


def _arrays(stored: Mapping[str, T], array: Callable[[T], np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in stored.items():
        values = array(tensor)
        alias = next((alias for alias in ALIASES if name.startswith(alias + ".")), None)
        if alias is not None:
            original = ALIASES[alias] + name.removeprefix(alias)
            if original in stored:
                if stored[original] != tensor and not np.array_equal(array(stored[original]), values):
                    raise ArchiveError(f"{name} differs from {ALIASES[alias]}, of which it should be a second name")
                continue
            name = original  # safetensors keeps one of two names
        if values.dtype.kind != "f":
            raise ArchiveError(f"{name} is {values.dtype}; weights are floating-point numbers")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise ArchiveError(f"{name} holds a value that is not finite")
        yield name, values
