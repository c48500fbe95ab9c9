"""One run of a sweep, from its data to what it left."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from lambda_image.summary import message_of
from scripts import execution
from scripts.catalogue.run_source import read_json
from scripts.logs.run_logs import times_of
from scripts.runs import uploading
from scripts.runs.following import Follower
from scripts.runs.place import Place
from scripts.runs.run_progress import RunProgress
from scripts.runs.stored_results import StoredResults
from scripts.sweep import data
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import FAILED, NOT_RUN, SUCCEEDED, Measured
from scripts.words import counted

DISK_LEFT = 2.0  # of the bytes of the data: what this machine must have room for


class RunMaker(Protocol):
    """Makes runs somewhere."""

    def run(self, configuration: Configuration) -> Measured:
        """Makes a run, and gives what came of it."""


@dataclass(frozen=True)
class Nowhere:
    """Stands for a place that is not there, so that each run is a row with this reason."""

    reason: str

    def run(self, configuration: Configuration) -> Measured:
        """Makes no run."""
        return Measured(configuration, NOT_RUN, self.reason)


@dataclass
class Measurer:
    """Makes runs at one place, and keeps the data of the last one there for the next."""

    place: Place
    progress: RunProgress
    lookout: Callable[[], None] = lambda: None
    why_no_memory: str | None = None  # why the memory of a rank cannot be chosen here
    _uploaded: dict[str, list[Path]] = field(default_factory=dict, init=False)
    _scratch: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cosmicai-sweep-")), init=False)

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def run(self, configuration: Configuration) -> Measured:
        """Makes a run.

        Args:
            configuration: How.

        Returns:
            What came of it. A run that cannot be made here, or fails, says why.

        Raises:
            KeyboardInterrupt: The user interrupts.
            botocore's errors: AWS refuses or does not answer.
        """
        if (why := self._impossible(configuration)) is not None:
            return Measured(configuration, NOT_RUN, why)
        prefix = self._data(configuration)
        name = execution.new_name("sweep", datetime.now(UTC))
        asked: dict[str, Any] = {
            "bucket": self.place.bucket,
            "world_size": configuration.world_size,
            "batch_size": configuration.batch_size,
        }
        asked |= {"data_path": f"{prefix}/1.safetensors"} if configuration.partitions == 1 else {"data_prefix": prefix}
        if configuration.file_limit is not None:
            asked["file_limit"] = configuration.file_limit
        started = execution.begin(self.place, name, asked)
        ended = Follower(self.place, started, self.progress, lookout=self.lookout).follow()
        results = StoredResults(self.place.client("s3"), started.bucket, started.result_path)
        summary, records = read_json(results, "summary.json"), read_json(results, "combined_data.json")
        if ended["status"] != "SUCCEEDED":
            reason = f"{ended.get('error')}: {message_of(ended['cause'])}" if ended.get("cause") else ended["status"]
            return Measured(configuration, FAILED, reason, summary, tuple(records or ()))
        states = asdict(times_of(self.place.client("stepfunctions"), started.arn))
        return Measured(configuration, SUCCEEDED, None, summary, tuple(records), states)

    def _impossible(self, configuration: Configuration) -> str | None:
        if configuration.memory_mb is not None and self.why_no_memory is not None:
            return self.why_no_memory
        if self.place.local is None:
            return None
        if configuration.world_size > execution.MAX_RANKS:
            return f"one machine runs at most {counted(execution.MAX_RANKS, 'rank')}"
        needed, free = DISK_LEFT * data.bytes_of(configuration), shutil.disk_usage(self._scratch).free
        if needed > free:
            return f"the data need {needed / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free"
        return None

    def _data(self, configuration: Configuration) -> str:
        """The prefix of the data, which are made and uploaded once."""
        prefix, s3 = f"sweep/{configuration.data}", self.place.client("s3")
        if configuration.data in self._uploaded:
            return prefix
        for earlier, files in list(self._uploaded.items()):  # runs that share data follow each other
            uploading.remove(s3, files, str(self.place.bucket), f"sweep/{earlier}")
            del self._uploaded[earlier]
            shutil.rmtree(self._scratch / earlier)
        files = data.make(configuration, self._scratch / configuration.data)
        uploading.upload(s3, files, str(self.place.bucket), prefix)
        self._uploaded[configuration.data] = files
        return prefix


@contextmanager
def on_this_machine(ranks: int, progress: RunProgress) -> Iterator[Measurer]:
    """Starts workers on this machine for so many ranks, and ends them with the block."""
    from scripts.local_cloud import local_cloud
    from scripts.runs.place import place_at

    with local_cloud(ranks, lambda event: None) as cloud:
        place = place_at(cloud)
        cloud.wait_until_ready()
        with Measurer(place, progress, cloud.lookout()) as measurer:
            yield measurer


@contextmanager
def at(place: Place, progress: RunProgress) -> Iterator[Measurer]:
    """Measures at a place that is up."""
    owner = "stack" if place.local is None else "endpoint"
    why_no_memory = f"the memory of the ranks is that of the {owner}"
    with Measurer(place, progress, why_no_memory=why_no_memory) as measurer:
        yield measurer
