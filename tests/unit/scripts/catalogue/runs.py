"""Folders of results as runs leave them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.distribution_table import write_distributions_table
from lambda_image.data.distributions import SCORES
from lambda_image.data.predictions import Predictions

FIRST_ID = 1237648720693755918  # of SDSS: 19 digits, which float64 rounds


def predictions(count: int, columns: Mapping[str, Any] | None = None, source: str = "data/1.pt") -> Predictions:
    """Predictions of which each third has a flag instead of a redshift."""
    rng = np.random.default_rng(count)
    redshift = rng.random(count, np.float32)
    quality = np.where(np.arange(count) % 3 == 2, 4, 0)
    redshift[quality > 0] = np.nan
    given = {"objid": FIRST_ID + np.arange(count)} if columns is None else columns
    return Predictions.of_partition(source, 0, rng.random((count, 5)), redshift, None, quality, given)


def run_folder(folder: Path, *parts: Predictions, together: bool = True, ranks: int | None = None) -> Path:
    """Writes results; a rank beyond the parts has not finished."""
    (folder / "predictions").mkdir(parents=True)
    items = [{"run_id": "demo-1", "execution": "arn:1", "rank": rank} for rank in range(ranks or len(parts))]
    (folder / "manifest.json").write_text(json.dumps(items))
    for rank, part in enumerate(parts):
        (folder / f"predictions/{rank}.parquet").write_bytes(part.to_parquet())
        named = {"key": f"results/predictions/{rank}.parquet"}
        (folder / f"{rank}.json").write_text(json.dumps({"execution": "arn:1", "rank": rank, "predictions": named}))
    if together:
        (folder / "predictions.parquet").write_bytes(Predictions.concatenate(parts).to_parquet())
    return folder


def quantiles(part: Predictions) -> np.ndarray:
    """float32 [N, 11], none for a galaxy without a prediction."""
    return (part.redshift[:, None] + 0.02 * SCORES + 0.1).astype(np.float32)


def write_distributions(
    folder: Path, rank: int, part: Predictions, modes: np.ndarray | None = None, found: np.ndarray | None = None
) -> None:
    """Adds the distributions of a rank's predictions, each of which has its mode 0.05 above the redshift by default."""
    (folder / "quantiles").mkdir(exist_ok=True)
    modes = part.redshift + np.float32(0.05) if modes is None else modes
    with (folder / f"quantiles/{rank}.parquet").open("wb") as file:
        write_distributions_table(file, [(part, modes, quantiles(part) if found is None else found)])
