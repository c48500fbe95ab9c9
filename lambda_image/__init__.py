"""Redshifts of galaxies, from Python.

    from lambda_image import accuracy, load_engine, read_dataset
    galaxies = read_dataset("galaxies.safetensors")
    redshifts = load_engine().predict(galaxies.images, galaxies.magnitudes)
    print(redshifts[:5])
    print(accuracy(redshifts, galaxies.redshifts))

Each name is imported when it is first used. So importing this package loads nothing else, and the functions that run on
Lambda pay for what they use only.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator
    from lambda_image.data.dataset import read_dataset
    from lambda_image.data.partition import Partition
    from lambda_image.data.quality import Quality, quality
    from lambda_image.errors import RunError
    from lambda_image.metrics import Accuracy, accuracy
    from lambda_image.model.engine import Engine, load_engine

__all__ = [
    "Accuracy",
    "Communicator",
    "Engine",
    "Partition",
    "Quality",
    "RunError",
    "accuracy",
    "load_engine",
    "quality",
    "read_dataset",
]

_MODULES = {
    "Accuracy": "metrics",
    "Communicator": "comm.communicator",
    "Engine": "model.engine",
    "Partition": "data.partition",
    "Quality": "data.quality",
    "RunError": "errors",
    "accuracy": "metrics",
    "load_engine": "model.engine",
    "quality": "data.quality",
    "read_dataset": "data.dataset",
}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = found  # so that Python asks here once
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
