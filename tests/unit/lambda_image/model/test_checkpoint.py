"""Checkpoints as the published code saves them: whole modules whose classes nobody has installed."""

import json
import os
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from lambda_image.data.partition import FileFormat, write_partition
from lambda_image.errors import CheckpointError
from lambda_image.model import SHIPPED_DIGEST, SHIPPED_MODEL, architecture, checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel

SMALL = ModelConfig(
    embed_dim=16,
    depth=2,
    heads=4,
    mlp_features=32,
    pcm_features=32,
    pcm_kernel=3,
    pcm_groups=4,
    block_norm_eps=2e-5,
    final_norm_eps=3e-6,
    batch_norm_eps=4e-5,
    stem_features=8,
    inception_features=(4, 4, 2, 2, 2),
    image_features=24,
    magnitude_features=16,
    head_features=12,
)
PUBLISHED_NAMES = {
    "RedshiftModel": "blocks.model_vit_inception.ViT_Astro",
    "PatchEmbed": "timm.models.layers.patch_embed.PatchEmbed",
    "Block": "NormalCell.NormalCell",
    "Attention": "NormalCell.Attention",
    "FeedForward": "NormalCell.Mlp",
    "InceptionAndMagnitudes": "blocks.photoz.Input_Mix_Model",
    "InceptionBlock": "blocks.photoz.InceptionBlock",
    "ConvBlock": "blocks.photoz.ConvBlock",
}
IMAGES = torch.from_numpy(np.random.default_rng(5).gamma(1.5, 0.6, (3, 5, 32, 32)).astype(np.float32))
MAGNITUDES = torch.from_numpy(np.random.default_rng(6).normal(17, 1, (3, 5)).astype(np.float32))


def small_model(config: ModelConfig = SMALL, seed: int = 1) -> RedshiftModel:
    torch.manual_seed(seed)
    model = RedshiftModel(config)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def answers(model: RedshiftModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(IMAGES, MAGNITUDES)


@pytest.fixture
def as_published(monkeypatch: pytest.MonkeyPatch) -> Callable[[RedshiftModel], nn.Module]:
    """Gives a model the class names and attributes of the published code, so that its pickle looks like theirs."""

    def rename(model: RedshiftModel) -> nn.Module:
        config = model.config
        del model.config
        inception = model.inception_model
        inception.conv2d_init = inception.vis_inception[0]
        inception.avgpool = nn.AvgPool2d(2)
        inception.device = torch.device("cuda", 0)
        inception.Inception_only, inception.magnitude, inception.uk_paper = False, True, False
        for block in model.blocks:
            block.class_token, block.drop_path = True, nn.Identity()
            block.attn.num_heads, block.attn.scale = config.heads, (config.embed_dim / config.heads) ** -0.5
            block.attn.attn_drop = nn.Dropout(0.1)
            block.mlp.act = nn.GELU()
        for module in list(model.modules()):
            if isinstance(module, architecture.InceptionBlock):
                module.is_custom = not module.with_5x5
            if (name := PUBLISHED_NAMES.get(type(module).__name__)) is not None:
                package, _, class_name = name.rpartition(".")
                parts = package.split(".")
                for depth in range(1, len(parts) + 1):
                    path = ".".join(parts[:depth])
                    monkeypatch.setitem(sys.modules, path, sys.modules.get(path) or types.ModuleType(path))
                holder = sys.modules[package]
                if not hasattr(holder, class_name):
                    setattr(holder, class_name, type(class_name, (type(module),), {"__module__": package}))
                module.__class__ = getattr(holder, class_name)
        return model

    return rename


# --- conversion


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda module: module], ids=["DataParallel", "bare"])
def test_a_pickled_module_is_converted(as_published, tmp_path, wrap):
    expected = answers(small_model())
    torch.save(wrap(as_published(small_model())), tmp_path / "module.pt")
    config, tensors = checkpoint.convert(tmp_path / "module.pt")
    assert config == SMALL
    checkpoint.save(tmp_path / "model.safetensors", tensors, config)
    assert torch.equal(answers(checkpoint.load(tmp_path / "model.safetensors")), expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {
            "model": {f"module.{name}": tensor for name, tensor in state.items()},
            "optimizer": [{"lr": 0.1}],
        },
        lambda state: {
            name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()
        },
    ],
    ids=["plain", "prefixed", "wrapped", "both", "float64"],
)
def test_a_state_dict_is_converted_with_the_published_attributes(tmp_path, wrap):
    model = small_model(replace(SMALL, heads=8, block_norm_eps=1e-5, final_norm_eps=1e-6, batch_norm_eps=1e-5))
    torch.save(wrap(model.state_dict()), tmp_path / "state.pt")
    config, tensors = checkpoint.convert(tmp_path / "state.pt")
    assert config == model.config
    checkpoint.save(tmp_path / "model.safetensors", tensors, config)
    assert torch.equal(answers(checkpoint.load(tmp_path / "model.safetensors")), answers(model))


def test_an_alias_is_dropped_only_if_it_is_one(tmp_path):
    state = small_model(replace(SMALL, heads=8)).state_dict()
    state["inception_model.conv2d_init.weight"] = state["inception_model.vis_inception.0.weight"].clone()
    state["inception_model.conv2d_init.bias"] = state["inception_model.vis_inception.0.bias"]
    torch.save(state, tmp_path / "state.pt")
    assert not any("conv2d_init" in name for name in checkpoint.convert(tmp_path / "state.pt")[1])
    state["inception_model.conv2d_init.weight"][0] += 1
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"conv2d_init\.weight differs from inception_model\.vis_inception\.0"):
        checkpoint.convert(tmp_path / "state.pt")


# --- what the architecture cannot express


def set_attribute(path: str, **attributes: object) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        for name, value in attributes.items():
            setattr(model.get_submodule(path), name, value)

    return change


def set_module(path: str, module: nn.Module) -> Callable[[nn.Module], None]:
    return lambda model: model.set_submodule(path, module)


DIFFERENT = {
    r"blocks\.1\.attn\.num_heads is 2 and not 4": set_attribute("blocks.1.attn", num_heads=2),
    r"blocks\.1\.attn\.scale is 1\.0 and not 0\.5": set_attribute("blocks.1.attn", scale=1.0),
    r"blocks\.1\.norm2\.eps is 0\.001 and not 2e-05": set_attribute("blocks.1.norm2", eps=0.001),
    r"blocks\.0\.class_token is False": set_attribute("blocks.0", class_token=False),
    r"blocks\.1\.PCM\.0\.stride is tuple and not \(1, 1\)": set_attribute("blocks.1.PCM.0", stride=(2, 2)),
    r"blocks\.1\.PCM\.0\.padding_mode is 'circular'": set_attribute("blocks.1.PCM.0", padding_mode="circular"),
    r"blocks\.1\.mlp\.act\.approximate is 'tanh'": set_module("blocks.1.mlp.act", nn.GELU("tanh")),
    r"blocks\.1\.mlp\.act \(torch\.nn\.modules\.activation\.ReLU\) has no": set_module("blocks.1.mlp.act", nn.ReLU()),
    r"blocks\.0\.mlp\.act \(torch\.nn\.modules\.linear\.Identity\) has no": set_module(
        "blocks.0.mlp.act", nn.Identity()
    ),
    r"blocks\.1\.PCM\.2 is a torch\.nn\.modules\.activation\.ReLU": set_module("blocks.1.PCM.2", nn.ReLU()),
    r"vit_block\.1 is a torch\.nn\.modules\.activation\.Tanh": set_module("vit_block.1", nn.Tanh()),
    r"inception_model\.vis_inception\.1 is a .*MaxPool2d": set_module(
        "inception_model.vis_inception.1", nn.MaxPool2d(2)
    ),
    r"inception_model\.vis_inception\.1\.count_include_pad is False": set_attribute(
        "inception_model.vis_inception.1", count_include_pad=False
    ),
    r"inception_model\.vis_inception\.8\.is_custom is False": set_attribute(
        "inception_model.vis_inception.8", is_custom=False
    ),
    r"inception_model\.uk_paper is True": set_attribute("inception_model", uk_paper=True),
    r"concat_block\.3 \(torch\.nn\.modules\.activation\.Sigmoid\) has no place": lambda model: (
        model.concat_block.append(nn.Sigmoid())
    ),
    r"has blocks\.0\.gamma, which the architecture lacks": lambda model: model.blocks[0].register_parameter(
        "gamma", nn.Parameter(torch.ones(3))
    ),
    r"lacks head\.bias": lambda model: model.head.register_parameter("bias", None),
    r"vit_block\.2\.weight of shape \[7, 24\] instead of \[24, 24\]": set_module("vit_block.2", nn.Linear(24, 7)),
    r"branch2\.1\.conv\.weight of shape \[5, 4, 3, 3\] instead of \[4, 4, 3, 3\]": set_module(
        "inception_model.vis_inception.2.branch2.1.conv", nn.Conv2d(4, 5, 3, padding=1)
    ),
    r"head\.weight holds a value that is not finite": lambda model: model.head.weight.data.fill_(float("nan")),
    r"head\.weight is int64; weights are floating-point": set_attribute(
        "head", weight=nn.Parameter(torch.ones(16, 16, dtype=torch.int64), requires_grad=False)
    ),
    r"the shape of blocks\.0\.mlp\.fc1\.weight is missing": set_module("blocks.0.mlp.fc1", nn.Identity()),
    r"blocks\.0\.attn\.num_heads is not a size": set_attribute("blocks.0.attn", num_heads="4"),
    r"16 features cannot be divided among 3": set_attribute("blocks.0.attn", num_heads=3),
}


@pytest.mark.parametrize("message", DIFFERENT)
def test_a_module_that_computes_something_else_is_refused(as_published, tmp_path, message):
    model = as_published(small_model())
    DIFFERENT[message](model)
    torch.save(nn.DataParallel(model), tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.convert(tmp_path / "module.pt")
    assert str(caught.value).startswith(f"checkpoint {tmp_path / 'module.pt'}: ")


def test_unknown_classes_are_named(tmp_path):
    torch.save(small_model(), tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match=r"names lambda_image\.model\.architecture\.RedshiftModel, which is not"):
        checkpoint.convert(tmp_path / "module.pt")


def test_nothing_that_a_checkpoint_names_is_executed(tmp_path):
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    state = {**small_model().state_dict(), "payload": Payload()}
    torch.save(state, tmp_path / "hostile.pt")
    with pytest.raises(CheckpointError, match=r"names posix\.system, which is not allowed"):
        checkpoint.convert(tmp_path / "hostile.pt")
    assert not (tmp_path / "executed").exists()


def nested(depth: int) -> nn.Module:
    """A module that contains itself twice at every level: 2^depth modules in a few kilobytes."""
    module: nn.Module = nn.Sequential()
    for _ in range(depth):
        module = nn.Sequential(module, module)
    return module


def cycle() -> nn.Module:
    module = nn.Sequential()
    module._modules["again"] = module
    return module


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nested(40), "more than 10,000 modules"),
        (cycle(), "no usable name"),
        ([torch.ones(1)], "neither a module nor a state dict"),
        ({"a": 1}, "no state dict"),
        ({1: torch.ones(1)}, "no state dict"),
        ({}, "no state dict"),
        ({"x" * 300: torch.ones(1)}, "no state dict"),
        (nn.DataParallel(nn.DataParallel(nn.Linear(1, 1))), "is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_other_contents_are_refused(tmp_path, value, message):
    torch.save(value, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=message):
        checkpoint.convert(tmp_path / "other.pt")


def test_files_that_are_no_archives_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.pt"):
        checkpoint.convert(tmp_path / "nowhere.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"cut\.pt: it is cut off"):
        checkpoint.convert(tmp_path / "cut.pt")
    with pytest.raises(CheckpointError, match="is a folder: give a file"):
        checkpoint.convert(tmp_path)


# --- saving and loading


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    checkpoint.save(path, small_model())
    return path


def test_the_same_weights_give_the_same_bytes(tmp_path):
    model = small_model()
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for file in files:
        checkpoint.save(file, model)
    assert len({file.read_bytes() for file in files}) == 1


def test_a_model_comes_back_as_it_was(tmp_path):
    model = small_model()
    checkpoint.save(tmp_path / "model.safetensors", model)
    loaded = checkpoint.load(tmp_path / "model.safetensors")
    assert loaded.config == SMALL
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(answers(loaded), answers(model))


def test_loading_maps_the_file(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, small_model())
    model = checkpoint.load(path)
    mapped = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [tuple(int(end, 16) for end in addresses.split("-")) for addresses in mapped]
    assert all(any(first <= p.data_ptr() < last for first, last in ranges) for p in model.parameters())


def test_float16_halves_the_file_and_spares_the_vectors(tmp_path):
    model = small_model()
    sizes = {}
    for dtype in ("float32", "float16"):
        checkpoint.save(tmp_path / dtype, model, dtype=dtype)
        sizes[dtype] = sum(tensor.nbytes for tensor in safetensors.torch.load_file(tmp_path / dtype).values())
    assert sizes["float16"] < 0.6 * sizes["float32"]
    loaded, originals = checkpoint.load(tmp_path / "float16"), model.state_dict()
    for name, tensor in loaded.state_dict().items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float32
            original = originals[name]
            assert torch.equal(tensor, original if tensor.ndim < 2 else original.half().float())


def test_what_float16_cannot_hold_is_named_and_not_written(tmp_path):
    model = small_model()
    model.head.weight.data[0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"head\.weight holds a value beyond float16"):
        checkpoint.save(tmp_path / "model.safetensors", model, dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_tensors_are_not_saved_under_another_config(tmp_path):
    tensors = {name: t.numpy() for name, t in small_model().state_dict().items() if t.is_floating_point()}
    with pytest.raises(CheckpointError, match=r"lacks blocks\.2\..* more"):
        checkpoint.save(tmp_path / "model.safetensors", tensors, replace(SMALL, depth=3))


def write_galaxies(path: Path, file_format: FileFormat) -> None:
    write_partition(path, np.ones((2, 5, 32, 32)), np.ones((2, 5)), file_format=file_format)


def resaved(path: Path, **metadata: str) -> Path:
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "there is no checkpoint"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cannot be read.*`cosmicai convert`"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: torch.save({}, path), "cannot be read.*`cosmicai convert`"),
        (lambda path: write_galaxies(path, "pt"), "galaxies and not a checkpoint: name a file of weights"),
        (lambda path: write_galaxies(path, "safetensors"), "is a dataset of galaxies and not a checkpoint"),
        (lambda path: resaved(path), "not a checkpoint of this project"),
        (lambda path: resaved(path, format=checkpoint.FORMAT), "config is malformed"),
        (lambda path: resaved(path, format=checkpoint.FORMAT, config="[]"), "config is malformed"),
    ],
)
def test_files_that_do_not_load_say_what_to_do(saved, tmp_path, change, message):
    path = Path(shutil.copy(saved, tmp_path))
    change(path)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"depth": 10**9}, "depth"),
        ({"depth": 60_000}, "more than 1,000 layers"),
        ({"depth": 0}, "depth"),
        ({"depth": 3}, r"lacks blocks\.2"),
        ({"depth": 1}, r"has blocks\.1\..*which the architecture lacks"),
        ({"heads": "8"}, "heads"),
        ({"heads": True}, "heads"),
        ({"heads": 5}, "cannot be divided"),
        ({"pcm_groups": 5}, "no network has these sizes"),
        ({"batch_norm_eps": float("nan")}, "batch_norm_eps"),
        ({"inception_features": 5}, "malformed"),
        ({"inception_features": [4, 4, "2"]}, "inception_features"),
        ({"width": 3}, "width"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved, tmp_path, config, message):
    path = Path(shutil.copy(saved, tmp_path))
    with safetensors.safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["config"])
    resaved(path, format=checkpoint.FORMAT, config=json.dumps({**values, **config}))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)


class Other(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 1)

    def forward(self, image: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
        return self.linear(magnitude)


def scripted(path: Path) -> None:
    torch.jit.script(Other()).save(path)


def pickled(path: Path) -> None:
    torch.save(Other(), path)


def state_dict(path: Path) -> None:
    torch.save(Other().state_dict(), path)


@pytest.mark.parametrize(
    ("save", "what"),
    [
        (scripted, "it is a TorchScript program"),
        (pickled, r"it names .*Other, which is not allowed here and was not executed"),
        (state_dict, "it is not the published network"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_another_network_is_refused_with_the_lines_that_export_it(save, what, tmp_path):
    save(tmp_path / "mine.pt2")
    with pytest.raises(CheckpointError, match=rf"{what}.*torch\.onnx\.export\(network\.eval\(\).*docs/models\.md"):
        checkpoint.convert(tmp_path / "mine.pt2")


# --- damage


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_flipped_bit_is_no_other_network(tmp_path: Path, dtype: checkpoint.StorageType):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, small_model(), dtype=dtype)
    checkpoint.load(path)
    flip_a_bit(path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: it is damaged"):
        checkpoint.load(path)


def test_a_file_from_before_there_were_digests_loads(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, small_model())
    with safetensors.safe_open(path, "pt") as file:
        metadata = {name: value for name, value in file.metadata().items() if name != "digest"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    safetensors.torch.save_file(tensors, path, metadata)
    assert torch.equal(answers(checkpoint.load(path)), answers(small_model()))


def test_the_shipped_weights_are_those_on_record():
    with safetensors.safe_open(SHIPPED_MODEL, "pt") as file:
        assert checkpoint.digest(SHIPPED_MODEL, file.metadata()["config"]) == SHIPPED_DIGEST
