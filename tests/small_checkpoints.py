"""A small network, the names under which others keep its weights, and whether a file was read as those."""

from pathlib import Path

import torch

from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel

SMALL = ModelConfig(
    embed_dim=16,
    depth=1,
    mlp_features=8,
    pcm_features=16,
    pcm_groups=4,
    stem_features=8,
    inception_features=(4, 4, 2, 2, 2),
    image_features=12,
    magnitude_features=16,
    head_features=8,
)
PREFIXES = ["_orig_mod.", "module.", "model.", "net.", "network."]
KEYS = ["state_dict", "model_state_dict", "model", "module", "net"]


def small_model() -> RedshiftModel:
    torch.manual_seed(1)
    return RedshiftModel(SMALL).eval()


def same_weights(path: Path, expected: dict[str, torch.Tensor]) -> bool:
    """Whether what is converted is `expected`, bit for bit."""
    config, tensors = checkpoint.convert(path)
    names = {name for name, tensor in expected.items() if tensor.is_floating_point()}
    assert config == SMALL
    assert set(tensors) == names
    return all(tensors[name].tobytes() == expected[name].float().numpy().tobytes() for name in names)
