"""Weights that a run brings itself: fetched from S3, kept in /tmp by their version, and run by PyTorch.

An execution environment keeps the engine of the last such run, and the file lives as long as /tmp does. It is kept as
this project's own format, which is mapped and not read. A file in the published format is read by an interpreter that
can call nothing (data/inert_pickle.py).
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import CheckpointError
from lambda_image.manifest import ModelObject
from lambda_image.model import engine as engines
from lambda_image.model.calibrated import carry_calibration
from lambda_image.model.calibration import SUFFIX
from lambda_image.model.engine import Engine
from lambda_image.model.engine_files import Device, is_onnx
from lambda_image.storage import ObjectStore

PIECE_BYTES = 1 << 20
NAME_BYTES = 16
WRITABLE = Path("/tmp")  # noqa: S108 - all that a Lambda may write to
WEIGHTS, DIGEST = "model.safetensors", "sha256"


@dataclass(frozen=True)
class OwnWeights:
    """An engine of weights that are not the image's, and what the record calls them."""

    engine: Engine
    name: str


class WeightsCache:
    """Holds the weights of runs that bring their own, for one execution environment."""

    def __init__(
        self,
        threads: int,
        device: Device = "cpu",
        folder: Path | None = None,
        on_mismatch: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Makes it without fetching anything.

        Args:
            threads: how many threads compute.
            device: where the engine computes.
            folder: where files are kept; without one, a folder in /tmp that this user alone may enter.
            on_mismatch: is called with the reason where the calibration beside weights is for others.
        """
        self._on_mismatch = on_mismatch
        self._threads, self._device = threads, device
        self._folder = folder or WRITABLE / f"cosmicai-weights-{os.getuid()}"
        self._last: tuple[ModelObject, str, OwnWeights] | None = None

    def load(self, model: ModelObject, store: ObjectStore) -> OwnWeights:
        """Gives the engine of these weights, which are fetched unless they are here.

        Args:
            model: the object and its version.
            store: its bucket.

        Raises:
            CheckpointError: it is no checkpoint that PyTorch can run here, or /tmp has no room for it.
            RunError: it cannot be fetched; see `ObjectStore.open`.
        """
        url = store.url(model.key)
        if find_spec("torch") is None:
            raise CheckpointError(
                f"{url} (model_path) cannot be run, because this image has no PyTorch: deploy the full image, or leave "
                "model_path out for the weights in the image",
                path=url,
            )
        described = store.head(_calibration_key(model))  # at each run, as one may have been made since the last
        version = described.etag if described is not None else ""
        if self._last is not None and self._last[:2] == (model, version):
            return self._last[2]
        named = "\0".join((model.bucket, model.key, model.etag, version)).encode()
        place = self._folder / hashlib.blake2b(named, digest_size=NAME_BYTES).hexdigest()
        with _explained(url, place):
            self._own_folder()
            if not (place / DIGEST).exists():  # written last
                self._with_room(lambda: _fetch(model, store, place))
            digest = (place / DIGEST).read_text()
            engine = engines.load(place / WEIGHTS, self._threads, "eager", self._on_mismatch, self._device)
        weights = OwnWeights(engine, f"{url}, SHA-256 {digest}")
        self._last = (model, version, weights)
        return weights

    def _own_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.getuid():  # somebody else could put other weights there
            raise CheckpointError(f"{self._folder} belongs to another user: remove it", path=str(self._folder))

    def _with_room(self, fetch: Callable[[], None]) -> None:
        """Once more without what other runs have left, if there is no room."""
        try:
            fetch()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            import shutil  # late, as a rank's start does not need it

            for old in self._folder.iterdir():
                shutil.rmtree(old, ignore_errors=True)
            fetch()


def _calibration_key(model: ModelObject) -> str:
    return str(PurePosixPath(model.key).with_suffix(SUFFIX))


def _fetch(model: ModelObject, store: ObjectStore, place: Path) -> None:
    """Puts the checkpoint there, in this project's format, and then the digest of what was fetched."""
    import tempfile  # late, as a rank's start needs neither this

    from lambda_image.model import checkpoint  # nor PyTorch, which this imports

    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        fetched, digest = Path(scratch) / "fetched", hashlib.sha256()
        with store.open(model.key, model.etag) as source, fetched.open("wb") as file:
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
                file.write(piece)
        if is_onnx(fetched):
            raise CheckpointError(
                "it is an ONNX file, and model_path takes checkpoints: build an image with the network in it "
                "(docs/models.md)"
            )
        with atomic_file(place / WEIGHTS) as partial:
            if checkpoint.is_converted(fetched):
                checkpoint.load(fetched)
                fetched.replace(partial)
            else:
                config, tensors = checkpoint.convert(fetched)
                checkpoint.save(partial, tensors, config)
        calibration = store.find(_calibration_key(model))
        if calibration is not None:
            carry_calibration(calibration, digest.hexdigest(), place / WEIGHTS)
        with atomic_file(place / DIGEST) as partial:
            partial.write_text(digest.hexdigest())


@contextmanager
def _explained(url: str, place: Path) -> Iterator[None]:
    """Names the object where an error names the copy, and says what to do where /tmp is full."""
    try:
        yield
    except CheckpointError as error:
        said = re.sub(rf"^checkpoint {re.escape(str(place.parent))}\S*: ", "", str(error))
        raise CheckpointError(f"{url} (model_path): {said}", path=url) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise CheckpointError(
            f"{url} (model_path): there is no room for it in {place.parent}: give the function more of /tmp "
            "(RankStorage)",
            path=url,
        ) from error
