"""Whether the files of a compiled engine are those that were compiled.

A start can afford a few milliseconds. The library is small, and is hashed whole before it is loaded, since a library
that is cut off ends the process with SIGBUS. The weights have 51 MB, which SHA-256 takes 100 ms for, BLAKE2b 200 ms and
CRC-32 50 ms. They are summed instead, as 64-bit words in blocks of 64 KiB, which takes about as long as touching their
pages, and the sums are hashed. That finds files that are cut or longer, every change within one word of a block, pages
of zeros, and blocks that are swapped. It is no defence against somebody who may write the files. He may write the
program, too.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambda_image.errors import CheckpointError

BLOCK_WORDS = 8192  # of 8 bytes
DIGEST_BYTES = 16


def library_digest(path: Path) -> str:
    """The digest of all bytes. Raises OSError."""
    return hashlib.blake2b(path.read_bytes(), digest_size=DIGEST_BYTES).hexdigest()


def weights_digest(weights: NDArray[np.float32]) -> str:
    """The digest of the sums, as the head of this file describes it."""
    words = weights[: weights.size // 2 * 2].view(np.uint64)
    whole = words.size // BLOCK_WORDS * BLOCK_WORDS
    sums = words[:whole].reshape(-1, BLOCK_WORDS).sum(axis=1)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in (np.uint64(weights.size), sums, words[whole:], weights[words.size * 2 :]):
        digest.update(part.tobytes())
    return digest.hexdigest()


def check(path: Path, found: str, digests: Mapping[str, str]) -> None:
    """Raises CheckpointError where a file's digest is not the one on record, or none is."""
    if digests.get(path.name) != found:
        raise CheckpointError(
            f"{path} is damaged: it is not what was compiled; make it again with `cosmicai compile`, or build the "
            "image anew",
            path=os.fspath(path),
            damaged=True,
        )
