"""Writes the model as ONNX, by `python -m scripts.bench.inference.export MODEL OUT`."""

import sys
from pathlib import Path

import torch

from lambda_image.model import checkpoint

SAMPLES = 3  # traced; any number but 0 and 1, which would be taken for constants


def export(model: str, out: Path) -> None:
    """Write the model to `out` as ONNX that takes any batch size."""
    batch = {0: torch.export.Dim("batch", min=2, max=65_536)}
    inputs = (torch.zeros(SAMPLES, 5, 32, 32), torch.zeros(SAMPLES, 5))
    # Strict: without it the length of a tensor, where the model asks for it, becomes the number of samples.
    program = torch.export.export(checkpoint.load(model), inputs, dynamic_shapes=(batch, batch), strict=True)
    torch.onnx.export(program, (), out, input_names=["images", "magnitudes"], external_data=False, verbose=False)


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]))
