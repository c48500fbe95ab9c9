"""Who does what in a run: the items of the manifest, one for each rank. No I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent
from lambda_image.events import COMBINE_LIMIT, GATHER_LIMIT, RunRequest, run_id_of

# The longest that a rank takes with all attempts and waits that the state machine grants it, and some more. A test adds
# them up.
WAVE_S = 7200.0

STAR = 0  # the width of a run that gathers without inner ranks: see gather_tree.py
ROOT = 0  # whom the rendezvous server introduces to all others of a group


@dataclass(frozen=True, slots=True)
class Slice:
    """A partition, or some rows of it, for one rank."""

    key: str
    rows: tuple[int, int] | None = None  # from the first up to, and without, the second; all where this is None
    etag: str | None = None  # the version that Init found: ranks read no other


@dataclass(frozen=True)
class Share:
    """Where the rest of an item lies, in the bucket of the results: see shares.py."""

    key: str  # behind the result path, which the item has, too
    start: int  # bytes
    size: int
    partitions: int = 0  # that the rank has, and their bytes: so that nobody reads the share for that
    partition_bytes: int | None = None  # None where rows of one dataset are dealt


@dataclass(frozen=True)
class ModelObject:
    """Weights on S3 that a run brings itself."""

    bucket: str
    key: str
    etag: str  # the version that Init found: ranks read no other


@dataclass(frozen=True)
class Assignment:
    """One item of the manifest and, once its share has been read, everything that a rank must know.

    Without its share, an item has nothing of what WITHHELD names.
    """

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
    combine_limit: int = COMBINE_LIMIT  # galaxies up to which all predictions are put into one table
    gather_limit: int = GATHER_LIMIT  # bytes of all tables up to which these travel by sockets
    gather_width: int = STAR  # ranks that an inner rank of the gather speaks for
    gather_root: int = 0  # the rank that gathers
    share: Share | None = None

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
            share = _share(item["share"]) if item.get("share") else None
            item = {**(WITHHELD if share is not None else {}), **item}
            if not _is_text(item["data_bucket"]):
                raise TypeError("data_bucket")
            slices = tuple(map(_slice, item["partitions"]))
            model = ModelObject(**item["model"]) if item.get("model") else None
            if model is not None and not all(map(_is_text, (model.bucket, model.key, model.etag))):
                raise TypeError("model")
            for name in ("time_limit_s", "combine_limit", "gather_limit", "gather_width", "gather_root"):
                if not _is_number(item.get(name, 0)):
                    raise TypeError(name)
            fields = {**item, "partitions": slices, "model": model, "share": share}
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
    deal: str = ""  # "files" or "bytes", by which partitions were dealt; "rows" of one dataset

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
        found = {"max_concurrency": 0, "deal": "", **found}  # runs of earlier versions have none
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
    counts = share.start, share.size, share.partitions, share.partition_bytes or 0
    if not (_is_text(share.key) and all(_is_count(count) and 0 <= count <= LARGEST_OFFSET for count in counts)):
        raise TypeError("share")
    return share


LARGEST_NUMBER = 1e11  # of seconds: a date beyond it has no name
LARGEST_OFFSET = 2**62  # of bytes; two of them are added
# What an item of the manifest leaves to its share, and stands in an assignment until that is read.
WITHHELD: Mapping[str, Any] = {
    "run_key": "",
    "partitions": (),
    "data_bucket": "",
    "rendezvous_endpoint": None,
    "model": None,
    "combine_limit": COMBINE_LIMIT,
    "gather_limit": GATHER_LIMIT,
    "gather_width": STAR,
    "gather_root": 0,
}
_ITEM_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "execution": _is_text,
    "rank": _is_count,
    "world_size": _is_count,
    "bucket": _is_text,
    "result_path": _is_text,
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
    "deal": _is_text,
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


def quantiles_key(result_path: str, rank: int) -> str:
    """Names the object that holds the redshift distributions of a rank's galaxies."""
    return f"{result_path}/quantiles/{rank}.parquet"


def assignments(
    request: RunRequest,
    shares: Sequence[Sequence[Slice]],
    run_key: str,
    started_at: float,
    time_limit_s: float = WAVE_S,
    model: ModelObject | None = None,
    gather_width: int = STAR,
    gather_root: int = 0,
) -> Iterator[Assignment]:
    """Makes the manifest of a run, one item after another. All together may be more than there is memory for.

    Args:
        request: the execution input.
        shares: what each rank works on; their number is the world size.
        run_key: the run's secret, in hex.
        started_at: when the execution began, in seconds since the epoch.
        time_limit_s: seconds after that, in which ranks may begin.
        model: the run's own weights; None for those in the image.
        gather_width: ranks that an inner rank of the gather speaks for; STAR for none.
        gather_root: the rank that gathers.

    Yields:
        One item for each rank, in order of rank.
    """
    for rank, share in enumerate(shares):
        yield Assignment(
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
            combine_limit=request.combine_limit,
            gather_limit=request.gather_limit,
            gather_width=gather_width,
            gather_root=gather_root,
        )
