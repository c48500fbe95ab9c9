"""Weights that a run brings, on a bucket in memory."""

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lambda_image.errors import CheckpointError, InvalidEvent, PartitionMissing
from lambda_image.manifest import ModelObject
from lambda_image.model import checkpoint
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.storage import ObjectStore
from lambda_image.weights import WeightsCache
from tests.small_checkpoints import SMALL, small_model
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.model.calibrations import calibration


class Counting(FakeS3):
    gets = 0

    def get_object(self, **given: object) -> dict:  # type: ignore[override]
        self.gets += 1
        return super().get_object(**given)  # type: ignore[arg-type]


@pytest.fixture
def s3(tmp_path: Path) -> Counting:
    """The same weights in three formats."""
    fake, model = Counting(), small_model()
    checkpoint.save(tmp_path / "ours", model)
    torch.save(model.state_dict(), tmp_path / "published")
    fake.objects = {f"m/{name}": (tmp_path / name).read_bytes() for name in ("ours", "published")}
    return fake


def store(s3: FakeS3) -> ObjectStore:
    return ObjectStore("b", client=s3, missing=PartitionMissing)  # type: ignore[arg-type]


def named(s3: FakeS3, key: str) -> ModelObject:
    return ModelObject("b", key, s3.head_object(Key=key)["ETag"])


def inputs() -> tuple[np.ndarray, np.ndarray]:
    sizes, rng = SMALL.sizes, np.random.default_rng(1)
    images = rng.random((3, sizes.bands, sizes.side, sizes.side), np.float32)
    return images, rng.uniform(17, 20, (3, sizes.magnitudes)).astype(np.float32)


@pytest.mark.parametrize("name", ["ours", "published"])
def test_weights_of_either_format_predict_and_are_named_by_their_content(s3: Counting, tmp_path: Path, name: str):
    own = WeightsCache(1, folder=tmp_path / "cache").load(named(s3, f"m/{name}"), store(s3))
    with torch.inference_mode():
        expected = small_model()(*map(torch.from_numpy, inputs()))[:, 0].numpy()
    assert np.abs(own.engine.predict(*inputs()) - expected).max() < 1e-6
    assert (own.engine.name, own.engine.sizes) == ("eager", SMALL.sizes)
    assert own.name == f"s3://b/m/{name}, SHA-256 {hashlib.sha256(s3.objects[f'm/{name}']).hexdigest()}"


def test_a_version_is_fetched_once_also_by_a_process_that_comes_later(s3: Counting, tmp_path: Path):
    model, cache = named(s3, "m/published"), WeightsCache(1, folder=tmp_path / "cache")
    first = cache.load(model, store(s3))
    assert cache.load(model, store(s3)) is first
    again = WeightsCache(1, folder=tmp_path / "cache").load(model, store(s3))
    assert (again.name, s3.gets) == (first.name, 2)  # the second looks for a calibration
    s3.objects["m/published"] = s3.objects["m/ours"]
    assert cache.load(named(s3, "m/published"), store(s3)).name != first.name
    assert s3.gets == 4
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not weights", "it is cut off, or torch.save has not written it"),
        (b"\x08\x0a\x12\x07pytorch" * 9, "it is an ONNX file, and model_path takes checkpoints"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line_and_not_kept(
    s3: Counting, tmp_path: Path, content: bytes, told: str
):
    s3.objects["m/bad"] = content
    with pytest.raises(CheckpointError) as raised:
        WeightsCache(1, folder=tmp_path / "cache").load(named(s3, "m/bad"), store(s3))
    message = str(raised.value)
    assert message.startswith("s3://b/m/bad (model_path): it ")
    assert told in message
    assert "\n" not in message
    assert str(tmp_path) not in message
    assert not [found for found in (tmp_path / "cache").rglob("*") if found.is_file()]


def test_a_version_that_is_gone_is_said_to_be(s3: Counting, tmp_path: Path):
    model = named(s3, "m/ours")
    s3.objects["m/ours"] += b" "

    class Conditional(Counting):
        def get_object(self, *, Key: str, **given: object) -> dict:  # type: ignore[override]  # noqa: N803
            if given.get("IfMatch", self._etag(Key)) != self._etag(Key):
                raise self._refusal("PreconditionFailed", 412)
            return super().get_object(Key=Key, **given)

    conditional = Conditional()
    conditional.objects = s3.objects
    with pytest.raises(InvalidEvent, match="s3://b/m/ours was replaced or removed"):
        WeightsCache(1, folder=tmp_path / "cache").load(model, store(conditional))


def test_what_other_runs_have_left_gives_way(tmp_path: Path):
    (tmp_path / "cache" / "old").mkdir(parents=True)
    cache, tries = WeightsCache(1, folder=tmp_path / "cache"), []

    def fetch() -> None:
        tries.append((tmp_path / "cache" / "old").exists())
        if tries[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")

    cache._with_room(fetch)
    assert tries == [True, False]


def test_no_room_at_all_is_one_line_with_the_remedy(s3: Counting, tmp_path: Path):
    class FullStore(ObjectStore):
        def open(self, key: str, etag: str | None = None) -> object:  # type: ignore[override]
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match=r"s3://b/m/ours \(model_path\): there is no room .*RankStorage"):
        WeightsCache(1, folder=tmp_path / "cache").load(named(s3, "m/ours"), FullStore("b", client=s3))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ours", "published"])
def test_a_calibration_beside_them_gives_error_bars(s3: Counting, tmp_path: Path, name: str):
    digest = hashlib.sha256(s3.objects[f"m/{name}"]).hexdigest()
    calibration(magnitudes=SMALL.sizes.magnitudes, weights=digest).write(tmp_path / "calibration")
    s3.objects[f"m/{name}.calibration.json"] = (tmp_path / "calibration").read_bytes()
    engine = WeightsCache(1, folder=tmp_path / "cache").load(named(s3, f"m/{name}"), store(s3)).engine
    assert isinstance(engine, CalibratedEngine)
    redshifts, errors = engine.predict_with_errors(*inputs())
    assert (errors > 0).all()
    assert len(redshifts) == len(errors) == 3


def test_a_calibration_for_other_weights_is_told(s3: Counting, tmp_path: Path):
    calibration(magnitudes=SMALL.sizes.magnitudes).write(tmp_path / "calibration")
    s3.objects["m/ours.calibration.json"] = (tmp_path / "calibration").read_bytes()
    told: list[str] = []
    cache = WeightsCache(1, folder=tmp_path / "cache", on_mismatch=told.append)
    assert not isinstance(cache.load(named(s3, "m/ours"), store(s3)).engine, CalibratedEngine)
    assert "was made for other weights" in told[0]


def test_a_calibration_that_is_made_later_counts_in_the_next_run(s3: Counting, tmp_path: Path):
    cache, model = WeightsCache(1, folder=tmp_path / "cache"), named(s3, "m/ours")
    assert not isinstance(cache.load(model, store(s3)).engine, CalibratedEngine)
    digest = hashlib.sha256(s3.objects["m/ours"]).hexdigest()
    calibration(magnitudes=SMALL.sizes.magnitudes, weights=digest).write(tmp_path / "calibration")
    s3.objects["m/ours.calibration.json"] = (tmp_path / "calibration").read_bytes()
    later = WeightsCache(1, folder=tmp_path / "cache")
    assert all(isinstance(one.load(model, store(s3)).engine, CalibratedEngine) for one in (cache, later))
    del s3.objects["m/ours.calibration.json"]
    assert not isinstance(cache.load(model, store(s3)).engine, CalibratedEngine)
