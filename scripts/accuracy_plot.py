"""Predicted against true redshifts, as a picture of all galaxies. It needs matplotlib, which is optional.

A few galaxies far away would shrink the axes for all others. They are drawn as triangles at the edge that they lie
beyond, and counted in words.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import known_redshifts
from lambda_image.metrics import Accuracy, accuracy_rows
from scripts.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SINGLE = 2000  # galaxies up to which each is a point of its own
SIZE = 16  # of a point
BINS = 80  # of the density beyond that, in each direction
OUTLIER = 0.15  # in Δz/(1+z), as metrics counts them
SHOWN_NMAD = 5  # of Δz/(1+z) on either side of 0
NEAR = 0.25  # of the range of the others
NAMED = ("R²", "MAE", "NMAD", "bias of Δz/(1+z)")  # the measures in the picture
FAR = "tab:red"

Array = NDArray[np.float64]


class AxisLimits(NamedTuple):
    """What an axis shows."""

    low: float
    high: float


class Panel(NamedTuple):
    """Galaxies by two quantities, and what is shown of each."""

    x: Array
    y: Array
    across: AxisLimits
    along: AxisLimits

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which galaxies lie within the axes."""
        (left, right), (low, high) = self.across, self.along
        return (self.x >= left) & (self.x <= right) & (self.y >= low) & (self.y <= high)

    def edges(self, bins: int) -> tuple[Array, Array]:
        """The edges of the cells of its density."""
        return np.linspace(*self.across, BINS + 1), np.linspace(*self.along, bins + 1)

    def density(self, bins: int) -> Array:
        """Galaxies in each cell."""
        counts: Array = np.histogram2d(self.x, self.y, bins=self.edges(bins))[0]
        return counts


def draw(predicted: NDArray[np.float32], true: NDArray[np.float32], measures: Accuracy, file: Path) -> bool:
    """Draw predicted against true redshifts and, below, the residuals. Many galaxies are drawn as a density.

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
    delta = (z - z_true) / (1 + z_true)
    upper = Panel(z_true, z, _range(z_true), _range(np.concatenate([z, z_true])))
    lower = Panel(z_true, delta, upper.across, _spread(delta, measures.nmad))
    figure = Figure(figsize=(6.5, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _fill(above, below, upper, lower)
    _lines(above, upper.across)
    above.set(ylabel="predicted redshift", ylim=upper.along)
    above.set_title("\n".join((*_words(len(z), measures), *_far(upper))), loc="left", fontsize="small")
    below.axhline(0, color="black", linewidth=0.8)
    below.set(xlabel="true redshift", ylabel="Δz / (1+z)", xlim=lower.across, ylim=lower.along)
    below.set_title("".join(_far(lower)), loc="left", fontsize="small")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")  # where no galaxies are
    with rc_context({"svg.fonttype": "none"}):  # text stays text, for those who search or read aloud
        figure.savefig(file, dpi=150)
    return True


def _fill(above: "Axes", below: "Axes", upper: Panel, lower: Panel) -> None:
    """The galaxies: points, or cells in colours that mean the same in both panels."""
    for axes, panel in ((above, upper), (below, lower)):
        _draw_far(axes, panel)
        if len(panel.x) <= SINGLE:
            shown = panel.inside
            axes.scatter(panel.x[shown], panel.y[shown], s=SIZE, color="tab:blue", alpha=0.6, linewidths=0)
    if len(upper.x) <= SINGLE:
        return
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    densities = upper.density(BINS), lower.density(BINS // 2)
    norm = LogNorm(1, max(2.0, *(density.max() for density in densities)))
    for axes, panel, density in zip((above, below), (upper, lower), densities, strict=True):
        cells = np.ma.masked_equal(density.T, 0)  # empty ones stay white
        image = axes.pcolormesh(*panel.edges(density.shape[1]), cells, cmap="viridis", norm=norm, rasterized=True)
    bar = above.figure.colorbar(image, ax=[above, below], label="galaxies in a cell", aspect=40)
    bar.ax.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))


def _draw_far(axes: "Axes", panel: Panel) -> None:
    """A triangle at the edge for each galaxy beyond it."""
    x, y = np.clip(panel.x, *panel.across), np.clip(panel.y, *panel.along)
    beside = {"<": panel.x < panel.across.low, ">": panel.x > panel.across.high}
    within = ~(beside["<"] | beside[">"])
    over = {"v": within & (panel.y < panel.along.low), "^": within & (panel.y > panel.along.high)}
    for marker, chosen in {**beside, **over}.items():
        if chosen.any():
            axes.scatter(x[chosen], y[chosen], s=22, marker=marker, color=FAR, alpha=0.7, clip_on=False, zorder=5)


def _far(panel: Panel) -> list[str]:
    """How many galaxies lie beyond the axes, in words."""
    far = int(np.count_nonzero(~panel.inside))
    lies = "lies" if far == 1 else "lie"
    return [f"{counted(far, 'galaxy', 'galaxies')} {lies} beyond the axes (red triangles)"] if far else []


def _lines(axes: "Axes", across: AxisLimits) -> None:
    axes.plot(across, across, color="black", linewidth=0.8, label="predicted = true")
    limits = [[true + sign * OUTLIER * (1 + true) for sign in (1, -1)] for true in across]
    axes.plot(across, limits, color="black", linewidth=0.8, linestyle=":", label=[f"|Δz|/(1+z) = {OUTLIER}", None])


def _range(values: Array) -> AxisLimits:
    """All values, but of the outermost tenth of a percent on either side only those that are near the others."""
    low, high = np.percentile(values, (0.1, 99.9), method="nearest")
    near = NEAR * (high - low)
    low, high = max(low - near, values.min()), min(high + near, values.max())
    margin = max(0.02 * (high - low), 1e-3)
    return AxisLimits(float(low - margin), float(high + margin))


def _spread(delta: Array, nmad: float | None) -> AxisLimits:
    """Some NMAD on either side, or all residuals where these reach not much further."""
    reach = float(np.abs(delta).max())
    most = SHOWN_NMAD * nmad if nmad else reach
    limit = max(1.05 * (reach if reach < 2 * most else most), 1e-3)
    return AxisLimits(-limit, limit)


def _words(count: int, measures: Accuracy) -> tuple[str, str]:
    """How many galaxies there are, and the measures by the names that the command's table has for them."""
    named = {name: value for name, value in accuracy_rows(measures.to_json()) if name in NAMED}
    outliers = measures.outliers_015
    beyond = "" if outliers is None else f", {outliers:.2%} outliers beyond {OUTLIER}"
    return f"{counted(count, 'galaxy', 'galaxies')}{beyond}", ", ".join(f"{name} {named[name]}" for name in NAMED)
