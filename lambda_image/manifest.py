"""Who does what in a run: the items of the manifest, one for each rank, and how partitions are dealt. No I/O.

Ranks get contiguous stretches of the partitions in natural order. The predictions of the ranks, one after another, are
therefore in the order of the dataset, whatever the world size.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.events import RunRequest, run_id_of
from lambda_image.partition_names import NAMED, PARTITION_SUFFIXES, gap, select

T = TypeVar("T")

# The longest that a rank takes with all attempts and waits that the state machine grants it, and some more. A test adds
# them up.
WAVE_S = 7200.0

ROOT = 0  # the rank that gathers, whom the rendezvous server introduces to all others


@dataclass(frozen=True)
class Slice:
    """A partition, or some rows of it, for one rank."""

    key: str
    rows: tuple[int, int] | None = None  # from the first up to, and without, the second; all where this is None
    etag: str | None = None  # the version that Init found: ranks read no other


@dataclass(frozen=True)
class Share:
    """Where the rest of an item lies, in the bucket of the results: see shares.py."""

    key: str
    start: int  # bytes
    size: int


@dataclass(frozen=True)
class ModelObject:
    """Weights on S3 that a run brings itself."""

    bucket: str
    key: str
    etag: str  # the version that Init found: ranks read no other


@dataclass(frozen=True)
class Assignment:
    """One item of the manifest and, once its share has been read, everything that a rank must know."""

    execution: str  # the execution's ARN
    run_key: str  # hex; by it a rank proves to other ranks that it belongs to this run
    rank: int
    world_size: int
    bucket: str
    result_path: str
    data_bucket: str
    partitions: tuple[Slice, ...]
    batch_size: int
    fmi_enabled: bool
    rendezvous_endpoint: str | None
    gather_timeout_s: float
    started_at: float  # seconds since the epoch
    on_bad_row: OnBadRow = "flag"  # manifests of earlier versions have none
    time_limit_s: float = WAVE_S  # so long after `started_at` no rank begins any more: see run_time.py
    model: ModelObject | None = None  # None for the weights in the image
    share: Share | None = None  # of an item of the manifest, which has neither key nor partitions without it

    @property
    def run_id(self) -> str:
        return run_id_of(self.execution)

    def to_json(self) -> dict[str, Any]:
        """Gives the item as JSON has it, with the run id for people who read it."""
        return {"run_id": self.run_id, **asdict(self)}

    @classmethod
    def from_json(cls, item: object) -> "Assignment":
        """Reads what `to_json` gives.

        Raises:
            InvalidEvent: `item` is anything else.
        """
        if not isinstance(item, Mapping):
            raise InvalidEvent(f"a rank was invoked with {type(item).__name__}, not with an item of a manifest")
        try:
            if wrong := [name for name, is_good in _ITEM_FIELDS.items() if not is_good(item[name])]:
                raise TypeError(", ".join(wrong))
            slices = tuple(map(_slice, item.get("partitions", ())))
            share = _share(item["share"]) if item.get("share") else None
            if share is None and not {"run_key", "partitions"} <= item.keys():
                raise KeyError("share")
            model = ModelObject(**item["model"]) if item.get("model") else None
            if model is not None and not all(map(_is_text, (model.bucket, model.key, model.etag))):
                raise TypeError("model")
            if not _is_number(item.get("time_limit_s", 0)):
                raise TypeError("time_limit_s")
            fields = {"run_key": "", **item, "partitions": slices, "model": model, "share": share}
            fields.pop("run_id", None)
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise InvalidEvent(
                f"not an item of a manifest ({error}): a rank is invoked by the state machine with what Init wrote"
            ) from error


@dataclass(frozen=True)
class Run:
    """A run as Init hands it to Summarize, by way of the state machine."""

    execution: str  # the execution's ARN
    bucket: str
    manifest_key: str
    result_path: str
    world_size: int
    tolerated_failures: int
    started_at: float  # seconds since the epoch
    warnings: tuple[str, ...]
    max_concurrency: int = 0  # ranks at a time; 0 for all

    @property
    def run_id(self) -> str:
        return run_id_of(self.execution)

    def to_json(self) -> dict[str, Any]:
        """Gives the run as JSON has it, with the run id for people who read it."""
        return {"run_id": self.run_id, **asdict(self)}

    @classmethod
    def from_json(cls, found: object) -> "Run":
        """Reads what `to_json` gives.

        Raises:
            InvalidEvent: `found` is anything else; the message names the keys that are missing, wrong or unknown.
        """
        if not isinstance(found, Mapping):
            raise InvalidEvent(f"Summarize is invoked by the state machine with a run, not with {type(found).__name__}")
        found = {"max_concurrency": 0, **found}  # runs of earlier versions have none
        wrong = [name for name, is_good in _RUN_FIELDS.items() if not is_good(found.get(name))]
        unknown = found.keys() - _RUN_FIELDS.keys() - {"run_id"}
        if wrong or unknown:
            raise InvalidEvent(
                f"not what Init returns ({', '.join(map(str, [*wrong, *unknown]))}): "
                "Summarize is invoked by the state machine with what Init returned"
            )
        return cls(**{name: found[name] for name in _RUN_FIELDS} | {"warnings": tuple(found["warnings"])})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return (isinstance(value, float) or _is_count(value)) and abs(value) < LARGEST_NUMBER  # type: ignore[arg-type]


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _slice(part: Any) -> Slice:
    rows = tuple(part["rows"]) if part["rows"] else None
    if not _is_text(part["key"]) or (rows is not None and not (len(rows) == 2 and all(map(_is_count, rows)))):
        raise TypeError("partitions")
    return Slice(part["key"], rows, part["etag"])


def _share(found: Any) -> Share:
    share = Share(**found)
    if not (_is_text(share.key) and _is_count(share.start) and _is_count(share.size)):
        raise TypeError("share")
    if not (0 <= share.start <= LARGEST_OFFSET and 0 <= share.size <= LARGEST_OFFSET):
        raise TypeError("share")
    return share


LARGEST_NUMBER = 1e11  # of seconds: a date beyond it has no name
LARGEST_OFFSET = 2**62  # of bytes; two of them are added
_ITEM_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "execution": _is_text,
    "rank": _is_count,
    "world_size": _is_count,
    "bucket": _is_text,
    "result_path": _is_text,
    "data_bucket": _is_text,
    "batch_size": _is_count,
    "gather_timeout_s": _is_number,
    "started_at": _is_number,
}
_RUN_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "execution": _is_text,
    "bucket": _is_text,
    "manifest_key": _is_text,
    "result_path": _is_text,
    "world_size": _is_count,
    "tolerated_failures": _is_count,
    "max_concurrency": _is_count,
    "started_at": _is_number,
    "warnings": _is_list_of_texts,
}


def manifest_key(result_path: str) -> str:
    """Names the manifest of the run that a result path belongs to."""
    return f"{result_path}/manifest.json"


def attempts_prefix(result_path: str, rank: int) -> str:
    """Names the folder of what a rank's attempts have finished."""
    return f"{result_path}/attempts/{rank}/"


def stretch_key(result_path: str, rank: int, attempt: int, number: int) -> str:
    """Names the object of partitions that one attempt of a rank has finished, the first of which has number 0."""
    return f"{attempts_prefix(result_path, rank)}{attempt}/{number}.parquet"


def result_key(result_path: str, rank: int) -> str:
    """Names the object that holds a rank's record."""
    return f"{result_path}/{rank}.json"


def predictions_key(result_path: str, rank: int) -> str:
    """Names the object that holds a rank's predictions."""
    return f"{result_path}/predictions/{rank}.parquet"


class Listed(Protocol):
    """An object as a listing has it."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...


class Chosen(NamedTuple):
    """Partitions in natural order of their names, and what the user must be told of them."""

    partitions: list[Slice]
    warnings: list[str]


def choose_partitions(listed: Iterable[Listed], prefix: str, place: str, file_limit: int | None) -> Chosen:
    """Chooses the partitions among what lies directly under a prefix.

    An object of 0 bytes is left out with a warning, as a partition without galaxies.

    Args:
        listed: the objects there, and folders, whose keys end in a slash.
        prefix: what all keys begin with; it ends in a slash, or is empty for the root of a bucket.
        place: its URL, for messages.
        file_limit: how many partitions to choose at most; None for all.

    Returns:
        The partitions and warnings.

    Raises:
        PartitionMissing: no object is a partition with galaxies.
        InvalidEvent: the key of a partition cannot be shown on one line.
    """
    objects = {found.key.removeprefix(prefix): found for found in listed if found.key != prefix}
    selection = select(objects)
    warnings = selection.warnings(place)
    if not selection.partitions:
        found = f"no object in {place} ends in {', '.join(PARTITION_SUFFIXES)}"
        beside = f" ({warnings[0]})" if warnings else ""
        from lambda_image.data.foreign import import_of_files  # late: it serves this refusal only

        remedy = import_of_files("FILES", objects)
        raise PartitionMissing(
            f"{found}{beside}: upload partitions there (cosmicai split makes them) or give another data_prefix{remedy}",
            object=f"{prefix}/",
        )
    names = selection.partitions[:file_limit]
    if missing := gap(names):
        warnings.append(f"{missing} among the numbers of the partitions in {place}")
    empty = [name for name in names if not objects[name].size]
    if empty:
        shown = ", ".join(empty[:NAMED]) + (f" and {len(empty) - NAMED:,} more" if len(empty) > NAMED else "")
        warnings.append(f"{len(empty):,} of {len(names):,} partitions in {place} have 0 bytes and no galaxies: {shown}")
        if len(empty) == len(names):
            raise PartitionMissing(f"all partitions in {place} have 0 bytes ({shown}): upload them again")
    full = [objects[name] for name in names if objects[name].size]
    return Chosen([Slice(found.key, etag=found.etag) for found in full], warnings)


def deal(things: Sequence[T], world_size: int) -> list[list[T]]:
    """Cuts `things` into contiguous stretches, one for each of `world_size` ranks.

    Lengths differ by at most one. Some stretches are empty where there are fewer things than ranks.
    """
    share, extra = divmod(len(things), world_size)
    ends = [0, *itertools.accumulate(share + (rank < extra) for rank in range(world_size))]
    return [list(things[start:stop]) for start, stop in itertools.pairwise(ends)]


def deal_rows(key: str, etag: str, rows: int, world_size: int) -> list[list[Slice]]:
    """Cuts one dataset of `rows` rows into ranges of rows, whose lengths differ by at most one.

    Returns:
        For each rank a list of one slice, or of none where there are fewer rows than ranks.
    """
    stretches = deal(range(rows), world_size)
    return [[Slice(key, (stretch[0], stretch[-1] + 1), etag)] if stretch else [] for stretch in stretches]


def assignments(
    request: RunRequest,
    shares: Sequence[Sequence[Slice]],
    run_key: str,
    started_at: float,
    time_limit_s: float = WAVE_S,
    model: ModelObject | None = None,
) -> list[Assignment]:
    """Makes the manifest of a run.

    Args:
        request: the execution input.
        shares: what each rank works on; their number is the world size.
        run_key: the run's secret, in hex.
        started_at: when the execution began, in seconds since the epoch.
        time_limit_s: seconds after that, in which ranks may begin.
        model: the run's own weights; None for those in the image.

    Returns:
        One item for each rank, in order of rank.
    """
    return [
        Assignment(
            execution=request.execution,
            run_key=run_key,
            rank=rank,
            world_size=len(shares),
            bucket=request.bucket,
            result_path=request.result_path,
            data_bucket=request.data_bucket,
            partitions=tuple(share),
            batch_size=request.batch_size,
            fmi_enabled=request.fmi_enabled,
            rendezvous_endpoint=str(request.rendezvous_endpoint) if request.rendezvous_endpoint else None,
            gather_timeout_s=request.gather_timeout_s,
            started_at=started_at,
            on_bad_row=request.on_bad_row,
            time_limit_s=time_limit_s,
            model=model,
        )
        for rank, share in enumerate(shares)
    ]
