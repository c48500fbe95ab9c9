"""The galaxies of a sweep: made once for all runs that share them."""

import os
from pathlib import Path

import numpy as np

from lambda_image.data.partition import write_partition
from scripts.galaxies import made_galaxies
from scripts.sweep.configuration import Configuration

SEED = 0
BYTES_OF_GALAXY = 5 * (32 * 32 + 1) * 4 + 4  # image, magnitudes and redshift


def bytes_of(configuration: Configuration) -> int:
    """Computes how many bytes the data of a run are."""
    return configuration.rows * BYTES_OF_GALAXY


def make(configuration: Configuration, folder: Path) -> list[Path]:
    """Makes the files of a run. The same configuration gives the same galaxies each time.

    Args:
        configuration: Says how many galaxies there are, and in how many files.
        folder: Where the files go; it is made. Files with the same content share their place on the disk.

    Returns:
        The files in their order.
    """
    folder.mkdir(parents=True)
    count, copies = configuration.partitions, max(1, min(configuration.copies, configuration.partitions))
    shares = [len(share) for share in np.array_split(np.arange(configuration.rows), count)]
    files: list[Path] = []
    while len(files) < count:
        file = folder / f"{len(files) + 1}.safetensors"
        rng = np.random.default_rng((SEED, len(files)))
        write_partition(file, *made_galaxies(shares[len(files)], rng))
        files.append(file)
        for _ in range(min(copies - 1, count - len(files))):
            link = folder / f"{len(files) + 1}.safetensors"
            os.link(file, link)
            files.append(link)
    return files
