"""Whether an engine answers as the reference does: PyTorch on a processor, in float32 and float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambda_image.errors import CheckpointError
from lambda_image.metrics import accuracy
from lambda_image.model.architecture import RedshiftModel
from lambda_image.model.eager import Eager
from lambda_image.model.engine_files import LowPrecision

# Of a low-precision engine, on galaxies: a tenth of the best redshift errors at most, a hundredth on average.
MAX_DIFFERENCE_LOW, MEAN_DIFFERENCE_LOW, R2_DIGITS = 2e-3, 2e-4, 3

Predict = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """Inputs to compare engines on; with redshifts they are galaxies."""

    images: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    redshifts: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Check:
    """How far redshifts are apart: the engine's from float64's and from eager's, and eager's from float64's."""

    max_difference: float
    max_difference_eager: float
    eager_max_difference: float
    tolerance: float

    def __str__(self) -> str:
        return (
            f"redshifts differ from the reference in float64 by {self.max_difference:.1e} at most, and from PyTorch's "
            f"float32, itself {self.eager_max_difference:.1e} off, by {self.max_difference_eager:.1e}"
        )

    def within_bounds(self) -> bool:
        """Not so if anything is not a number."""
        return self.max_difference <= self.tolerance


@dataclass(frozen=True)
class LowPrecisionCheck:
    """How far redshifts of galaxies are from eager's, and what R² is with either."""

    max_difference: float
    mean_difference: float
    r2: float
    r2_eager: float

    def __str__(self) -> str:
        return (
            f"redshifts differ from PyTorch's float32 by {self.max_difference:.1e} at most and "
            f"{self.mean_difference:.1e} on average, R² is {self.r2:.4f} instead of {self.r2_eager:.4f}"
        )

    def within_bounds(self) -> bool:
        """Not so if anything is not a number."""
        return (
            self.max_difference <= MAX_DIFFERENCE_LOW
            and self.mean_difference <= MEAN_DIFFERENCE_LOW
            and round(self.r2, R2_DIGITS) == round(self.r2_eager, R2_DIGITS)
        )


class Reference:
    """The answers of PyTorch to samples, and the judgement of other answers by them."""

    def __init__(self, model: RedshiftModel, samples: Sequence[Sample], threads: int) -> None:
        eager = Eager(model, threads)
        exact = RedshiftModel(model.config).double().eval()
        exact.load_state_dict(model.state_dict(), strict=False)  # a checkpoint lacks the counters of batch norms
        self.samples = samples
        self.eager = [eager.predict(sample.images, sample.magnitudes) for sample in samples]
        with torch.inference_mode():
            self.exact = [exact(*_double(sample.images, sample.magnitudes))[:, 0].numpy() for sample in samples]

    def check(self, predict: Predict, tolerance: float) -> Check:
        """The largest differences over all samples; raises CheckpointError if they are larger than `tolerance`."""
        answers = [predict(sample.images, sample.magnitudes) for sample in self.samples]
        check = Check(
            max_difference=_apart(answers, self.exact),
            max_difference_eager=_apart(answers, self.eager),
            eager_max_difference=_apart(self.eager, self.exact),
            tolerance=tolerance,
        )
        if not check.within_bounds():
            raise CheckpointError(
                f"{check}; allowed: {tolerance:g}, so nothing is kept. Where PyTorch's float32 is as far off, the "
                f"weights amplify rounding: if so much is small enough for your use, give `cosmicai compile` a "
                f"--tolerance above {check.max_difference:.1e}; if not, use INFERENCE_ENGINE=eager"
            )
        return check


def check_low_precision(
    name: LowPrecision, eager: Predict, predict: Predict, galaxies: Sample | None
) -> LowPrecisionCheck:
    """Raises CheckpointError if the answers differ by more than astronomy does not notice."""
    assert galaxies is not None, "low precision is checked on galaxies"
    assert galaxies.redshifts is not None
    ours, theirs = (engine(galaxies.images, galaxies.magnitudes) for engine in (predict, eager))
    difference = np.abs(ours - theirs)
    r2, r2_eager = (accuracy(answers, galaxies.redshifts).r2 for answers in (ours, theirs))
    check = LowPrecisionCheck(
        float(difference.max()), float(difference.mean()), r2 or float("nan"), r2_eager or float("nan")
    )
    if not check.within_bounds():
        raise CheckpointError(
            f"by {name} {check}; allowed: {MAX_DIFFERENCE_LOW:g}, {MEAN_DIFFERENCE_LOW:g}, the same R² to {R2_DIGITS} "
            f"digits, so nothing is kept: compile these weights without --{name}"
        )
    return check


def _double(*arrays: NDArray[np.float32]) -> list[torch.Tensor]:
    return [torch.from_numpy(array).double() for array in arrays]


def _apart(some: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]]) -> float:
    return float(np.abs(np.concatenate(some) - np.concatenate(others)).max())
