"""Checkpoints: weights and the sizes of their network in one safetensors file, which loads by mmap, executing nothing.

The file's metadata hold `format` and `config` (ModelConfig as JSON), so that weights cannot meet the wrong sizes.
Matrices and convolutions may be stored as float16 (half the size); vectors (biases, norms, running statistics) stay
float32, as they weigh nothing and some are smaller than float16 resolves. What is loaded is float32.

The metadata also hold `digest`, so that flipped bits are no other weights. Files from before have none, and load.
"""

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open

from lambda_image.atomic_file import atomic_file
from lambda_image.data.inert_pickle import ArchiveError, ProgramError
from lambda_image.errors import CheckpointError
from lambda_image.json_text import parse_json
from lambda_image.model import SHIPPED_DIGEST, SHIPPED_MODEL, published
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.model.engine_digests import DIGEST_BYTES, weights_digest

FORMAT = "cosmicai.redshift.1"
MAX_SIZE = 65_536  # of any number in a config: far above any model of this kind, and building one stays quick
MAX_LAYERS = 1_000
DATASET_INSTEAD = "it is a dataset of galaxies and not a checkpoint: name a file of weights"
MAGNITUDES = "inception_model.magnitude_block.0.weight"  # is missing where the network takes no magnitudes
SHOWN = 3  # tensors of each kind that a message names

Tensors = Mapping[str, np.ndarray]
StorageType = Literal["float32", "float16"]


def load(path: str | os.PathLike[str], device: str = "cpu") -> RedshiftModel:
    """The model of a checkpoint that `save` wrote, in eval mode; float32 weights on the CPU are the mapped file itself.

    Raises CheckpointError.
    """
    with _named(path), safe_open(path, framework="pt", device=device) as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise _UnfitError("it is not a checkpoint of this project: `cosmicai convert` makes one of it")
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        model = _meta_model(_parse_config(metadata.get("config", "")))
        _check_shapes(shapes, model)
        recorded = metadata.get("digest") or (SHIPPED_DIGEST if Path(path) == SHIPPED_MODEL else None)
        if recorded is not None and recorded != digest(path, metadata["config"]):
            raise _UnfitError("it is damaged, as its weights are not those that were written: fetch or make it again")
        model.load_state_dict({name: file.get_tensor(name).float() for name in shapes}, assign=True)
    return model.requires_grad_(False).eval()


def save(
    path: str | os.PathLike[str],
    model: RedshiftModel | Tensors,
    config: ModelConfig | None = None,
    dtype: StorageType = "float32",
) -> None:
    """Writes a model, or its float32 tensors with their config; the file appears whole or not at all.

    The same weights give the same bytes, so that a hash of the file names them.
    """
    if isinstance(model, RedshiftModel):
        config = model.config
        state = model.state_dict()
        model = {name: t.detach().float().cpu().numpy() for name, t in state.items() if t.is_floating_point()}
    assert config is not None, "tensors need their config"
    with _named(path):
        _check_shapes({name: array.shape for name, array in model.items()}, _network(config))
        stored = {name: np.ascontiguousarray(_stored(name, array, dtype)) for name, array in model.items()}
    unknown = "?" * (2 * DIGEST_BYTES)  # until the file is there, which is written once
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config)), "digest": unknown}
    with atomic_file(path) as partial:
        safetensors.numpy.save_file(stored, partial, metadata)
        metadata["digest"] = digest(partial, metadata["config"])
        with partial.open("r+b") as file:
            length = int.from_bytes(file.read(8), "little")
            # safetensors writes metadata in an order that differs each time.
            header = json.dumps({**parse_json(file.read(length)), "__metadata__": metadata}, separators=(",", ":"))
            file.seek(8)
            file.write(header.encode().ljust(length))


def digest(path: str | os.PathLike[str], config: str) -> str:
    """The digest of all weights and of their config, as `engine_digests` makes it of a compiled engine's weights."""
    content = np.memmap(path, np.uint8, mode="r")
    weights = content[8 + int.from_bytes(content[:8].tobytes(), "little") :]
    whole = weights.size // 4 * 4
    parts = weights_digest(weights[:whole].view(np.float32)).encode(), weights[whole:].tobytes(), config.encode()
    return hashlib.blake2b(b"".join(parts), digest_size=DIGEST_BYTES).hexdigest()


def convert(path: str | os.PathLike[str]) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """Config and float32 tensors of a checkpoint in the published format or a state dict in safetensors, for `save`.

    Arrays may view the mapped file. What a state dict does not say (heads, epsilons) is taken as published. Raises
    CheckpointError for a file that cannot be read, that names what is not allowed among its weights, or that the
    architecture here would answer differently.
    """
    with _named(path, "fetch it again, it may be cut off"):
        found = _read_safetensors(path) if _is_safetensors(path) else published.read(path)
        shapes = {name: array.shape for name, array in found.tensors.items()}
        config = _derive_config(shapes, found)
        model = _network(config)
        _check_shapes(shapes, model)
        if different := list(published.differences(found, model)):
            raise _OtherNetworkError(f"the architecture here cannot express it: {_some(different)}")
    return config, found.tensors


def is_converted(path: str | os.PathLike[str]) -> bool:
    """Whether `load` is for this file, whatever may be wrong with it, and not `convert`. Raises CheckpointError."""
    with _named(path):
        if not _is_safetensors(path):
            return False
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT


def _is_safetensors(path: str | os.PathLike[str]) -> bool:
    """By its content: a length, then JSON. A PyTorch archive begins otherwise."""
    with Path(path).open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: str | os.PathLike[str]) -> published.Published:
    with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
        if (file.metadata() or {}).get("format") == FORMAT:
            raise _UnfitError("it is converted already: use it as it is (--model, MODEL_PATH)")

        def array(name: str) -> np.ndarray:
            tensor: torch.Tensor = file.get_tensor(name)
            return (tensor.float() if tensor.is_floating_point() else tensor).numpy()

        return published.assembled({name: name for name in file.keys()}, array)  # noqa: SIM118


class _UnfitError(Exception):
    """What is wrong with a checkpoint, before its file is named."""


class _OtherNetworkError(_UnfitError):
    """It is a checkpoint of a network that the architecture here is not."""


@contextmanager
def _named(
    path: str | os.PathLike[str],
    remedy: str = "make one with `cosmicai convert`, or fetch it again if it is cut off",
) -> Iterator[None]:
    try:
        yield
    except (_UnfitError, ArchiveError) as error:
        other = f"; {published.EXPORT}" if isinstance(error, (_OtherNetworkError, ProgramError)) else ""
        said = DATASET_INSTEAD if _is_dataset(path) else f"{error}{other}"
        raise CheckpointError(f"checkpoint {os.fspath(path)}: {said}", path=os.fspath(path)) from error
    except FileNotFoundError as error:
        message = f"there is no checkpoint {os.fspath(path)}: correct the path (MODEL_PATH or --model)"
        raise CheckpointError(message, path=os.fspath(path)) from error
    except IsADirectoryError as error:
        raise CheckpointError(f"checkpoint {os.fspath(path)} is a folder: give a file", path=os.fspath(path)) from error
    except (SafetensorError, OSError) as error:
        said = f"it cannot be read ({error}): {remedy}"
        said = DATASET_INSTEAD if isinstance(error, SafetensorError) and _is_dataset(path) else said
        message = f"checkpoint {os.fspath(path)}: {said}"
        raise CheckpointError(message, path=os.fspath(path)) from error


def _is_dataset(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds galaxies. Asked once it has turned out to be no checkpoint."""
    try:
        with safe_open(path, framework="np") as file:
            return {"images", "magnitudes"} <= set(file.keys())
    except (SafetensorError, OSError):
        return published.is_dataset(path)


def _stored(name: str, array: np.ndarray, dtype: StorageType) -> np.ndarray:
    if dtype == "float32" or array.ndim < 2:
        return array.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise _UnfitError(f"{name} holds a value beyond float16: store it as float32")
    return half


def _meta_model(config: ModelConfig) -> RedshiftModel:
    """The network with shapes and no memory."""
    if config.embed_dim % config.heads:
        raise _UnfitError(f"{config.embed_dim} features cannot be divided among {config.heads} attention heads")
    try:
        with torch.device("meta"):
            return RedshiftModel(config)
    except (ValueError, RuntimeError) as error:
        raise _UnfitError(f"no network has these sizes: {error}") from error


@lru_cache(maxsize=4)
def _network(config: ModelConfig) -> RedshiftModel:
    """The same, to look at only: what is converted is saved, and makes it twice otherwise."""
    return _meta_model(config)


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], model: RedshiftModel) -> None:
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    problems = []
    if missing := sorted(expected.keys() - shapes.keys()):
        problems.append(f"lacks {_some(missing)}")
    if unexpected := sorted(shapes.keys() - expected.keys()):
        problems.append(f"has {_some(unexpected)}, which the architecture lacks")
    wrong = [
        f"{name} of shape {list(shapes[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    if wrong:
        problems.append(f"has {_some(wrong)}")
    if problems:
        raise _UnfitError("it " + ", and ".join(problems))


def _some(items: list[str]) -> str:
    return ", ".join(items[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")


def _derive_config(shapes: Mapping[str, tuple[int, ...]], found: published.Published) -> ModelConfig:
    def size(name: str, axis: int) -> int:
        shape = shapes.get(name, ())
        if axis >= len(shape) or not 1 <= shape[axis] <= MAX_SIZE:
            state = f"is {list(shape)}" if name in shapes else "is missing"
            raise _OtherNetworkError(f"it is not the published network, as the shape of {name} {state}")
        return shape[axis]

    def attribute(path: str, name: str, default: Any) -> Any:
        value = found.attribute(path, name)
        if value is None:
            return default
        if type(value) is not type(default) or not 0 < value <= MAX_SIZE:
            raise _UnfitError(f"{path}.{name} is not a size")
        return value

    def indices(pattern: str) -> list[int]:
        matches = (re.fullmatch(pattern, name) for name in shapes)
        return sorted(int(match[1]) for match in matches if match)

    published_sizes = ModelConfig()
    embed_dim, patch_size = size("patch_embed.proj.weight", 0), size("patch_embed.proj.weight", 2)
    patches = size("pos_embed", 1) - 1
    inception_blocks = indices(r"inception_model\.vis_inception\.(\d{1,4})\.branch1\.conv\.weight")
    return ModelConfig(
        bands=size("patch_embed.proj.weight", 1),
        image_size=patch_size * math.isqrt(patches),
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=len(indices(r"blocks\.(\d{1,4})\.norm1\.weight")),
        heads=attribute("blocks.0.attn", "num_heads", published_sizes.heads),
        mlp_features=size("blocks.0.mlp.fc1.weight", 0),
        pcm_features=size("blocks.0.PCM.0.weight", 0),
        pcm_kernel=size("blocks.0.PCM.0.weight", 2),
        pcm_groups=max(1, embed_dim // size("blocks.0.PCM.0.weight", 1)),
        block_norm_eps=attribute("blocks.0.norm1", "eps", published_sizes.block_norm_eps),
        final_norm_eps=attribute("fc_norm", "eps", published_sizes.final_norm_eps),
        batch_norm_eps=attribute("blocks.0.PCM.1", "eps", published_sizes.batch_norm_eps),
        stem_features=size("inception_model.vis_inception.0.weight", 0),
        inception_features=tuple(
            size(f"inception_model.vis_inception.{index}.branch1.conv.weight", 0) for index in inception_blocks
        ),
        image_features=size("vit_block.0.weight", 0),
        magnitude_features=size(MAGNITUDES, 0) if MAGNITUDES in shapes else 0,
        head_features=size("concat_block.0.weight", 0),
    )


def _parse_config(text: str) -> ModelConfig:
    try:
        values = parse_json(text)
        values["inception_features"] = tuple(values["inception_features"])
        config = ModelConfig(**values)
        for field in fields(config):
            value = getattr(config, field.name)
            for item in value if field.name == "inception_features" else (value,):
                lowest = 0 if field.name == "magnitude_features" else sys.float_info.min
                number = float if field.name.endswith("eps") else int
                if type(item) is not number or not lowest <= item <= MAX_SIZE:
                    raise ValueError(f"{field.name} is {item!r:.30}")
        if max(config.depth, len(config.inception_features)) > MAX_LAYERS:
            raise ValueError(f"more than {MAX_LAYERS:,} layers")
    except (ValueError, KeyError, TypeError) as error:
        raise _UnfitError(f"its config is malformed: {error}") from error
    return config
