"""The rank's function as it is, with an engine of a known pace, which waits and takes no processor."""

import os
import time

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.handlers.rank import RankFunction
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings
from tests.integration.instant_rank import InstantEngine

SECONDS_EACH = 0.001  # for a galaxy


class PacedEngine(InstantEngine):
    """Answers after as long as an engine would take that releases the interpreter meanwhile."""

    name = "paced"

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        redshifts = super().predict(images, magnitudes)
        time.sleep(SECONDS_EACH * len(redshifts))
        return redshifts


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    handler = RankFunction(HandlerSettings.from_environ(os.environ), PacedEngine(), Phases())  # type: ignore[arg-type]
