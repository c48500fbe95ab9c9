"""Predicted against true redshifts, as a picture. It needs matplotlib, which is optional."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import known_redshifts
from lambda_image.metrics import Accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 80  # of the density, in each direction
OUTLIER = 0.15  # in Δz/(1+z), as metrics counts them


def draw(predicted: NDArray[np.float32], true: NDArray[np.float32], measures: Accuracy, file: Path) -> bool:
    """Draw the density of predicted against true redshifts and, below, the residuals.

    Args:
        predicted: Redshifts [N], NaN where there is no prediction.
        true: Redshifts [N]. Galaxies whose true redshift is unknown are left out, as in the measures.
        measures: What stands in the picture.
        file: Where it goes, .png or .svg.

    Returns:
        Whether there was anything to draw.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    kept = known_redshifts(true) & np.isfinite(predicted)
    if not kept.any():
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    z, z_true = predicted[kept].astype(float), true[kept].astype(float)
    figure = Figure(figsize=(6.5, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    low, high = _range(z_true), _range(np.concatenate([z, z_true]))
    edges = (np.linspace(*low, BINS), np.linspace(*high, BINS))
    _density(above, z_true, z, edges)
    above.plot(low, low, color="black", linewidth=0.8, label="predicted = true")
    limits = [[zt + sign * OUTLIER * (1 + zt) for sign in (1, -1)] for zt in low]
    above.plot(low, limits, color="black", linewidth=0.8, linestyle=":", label=[f"|Δz|/(1+z) = {OUTLIER}", None])
    above.set(ylabel="predicted redshift", ylim=high, title=f"{len(z):,} galaxies")
    above.legend(loc="lower right", fontsize="small")
    above.text(0.03, 0.97, _words(measures), transform=above.transAxes, va="top", family="monospace", fontsize="small")
    delta = (z - z_true) / (1 + z_true)
    spread = max(3 * float(np.std(delta)), 1e-3)
    _density(below, z_true, delta, (edges[0], np.linspace(-spread, spread, BINS // 2)))
    below.axhline(0, color="black", linewidth=0.8)
    below.set(xlabel="true redshift", ylabel="Δz / (1+z)", xlim=low, ylim=(-spread, spread))
    with rc_context({"svg.fonttype": "none"}):  # text stays text, for those who search or read aloud
        figure.savefig(file, dpi=150)
    return True


def _density(
    axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], edges: tuple[NDArray[np.float64], ...]
) -> None:
    """Galaxies in each bin, empty bins left white."""
    counts, _, _ = np.histogram2d(x, y, bins=edges)
    image = axes.pcolormesh(*edges, np.ma.masked_equal(counts.T, 0), cmap="viridis", norm="log", rasterized=True)
    axes.figure.colorbar(image, ax=axes, label="galaxies")


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """All values but the outermost tenth of a percent on either side, which would shrink the picture."""
    low, high = np.percentile(values, (0.1, 99.9))
    margin = max(0.02 * (high - low), 1e-3)
    return float(low - margin), float(high + margin)


def _words(measures: Accuracy) -> str:
    named = {"R²": measures.r2, "MAE": measures.mae, "NMAD": measures.nmad, "bias": measures.bias}
    return "\n".join(f"{name:<5}{'undefined' if value is None else f'{value:.4f}'}" for name, value in named.items())
