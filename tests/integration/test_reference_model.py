"""The reference models: the one that tests/data keeps, made anew in float64, and the published one as it was saved."""

import gzip
import runpy

import numpy as np
import torch

from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig
from tests.data import make


def test_the_kept_tensors_and_redshifts_are_what_the_network_has_and_answers(seeded_model):
    """Then `python -m tests.data.make` would change nothing but the last digits, which depend on the machine."""
    assert make.shapes() == {name: list(array.shape) for name, array in seeded_model.tensors.items()}
    np.testing.assert_allclose(make.redshifts(), seeded_model.redshifts, rtol=1e-12)


def test_the_published_checkpoint_answers_as_published(shared, tmp_path):
    path = tmp_path / "published.pt"
    path.write_bytes(gzip.decompress((shared / "golden" / "published_format_checkpoint.pt.gz").read_bytes()))
    config, tensors = checkpoint.convert(path)
    assert config == ModelConfig()
    assert len(tensors) == 464
    checkpoint.save(tmp_path / "model.safetensors", tensors, config)
    model = checkpoint.load(tmp_path / "model.safetensors")
    images, magnitudes, _ = runpy.run_path(str(shared / "golden" / "weights.py"))["inputs"]()
    with torch.inference_mode():
        ours = model(torch.from_numpy(images), torch.from_numpy(magnitudes.astype(np.float32))).numpy()
    published = np.load(shared / "golden" / "published_format_outputs.npz")["output_float32"]
    np.testing.assert_allclose(ours, published, rtol=1e-4)
