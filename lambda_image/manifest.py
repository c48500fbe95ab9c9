"""Who does what in a run: the items of the manifest, one for each rank, and how partitions are dealt. No I/O.

Ranks get contiguous stretches of the partitions in natural order. The predictions of the ranks, one after another, are
therefore in the order of the dataset, whatever the world size.
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.events import RunRequest, run_id_of

PARTITION_SUFFIXES = (".pt", ".pth", ".safetensors")

T = TypeVar("T")


@dataclass(frozen=True)
class Slice:
    """A partition, or some rows of it, for one rank."""

    key: str
    rows: tuple[int, int] | None = None  # from the first up to, and without, the second; all where this is None
    etag: str | None = None  # the version that Init found: ranks read no other


@dataclass(frozen=True)
class Assignment:
    """One item of the manifest, which has everything that a rank must know."""

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
            slices = tuple(
                Slice(part["key"], tuple(part["rows"]) if part["rows"] else None, part["etag"])
                for part in item["partitions"]
            )
            fields = {**item, "partitions": slices}
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
    return isinstance(value, float) or _is_count(value)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


_RUN_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "execution": _is_text,
    "bucket": _is_text,
    "manifest_key": _is_text,
    "result_path": _is_text,
    "world_size": _is_count,
    "tolerated_failures": _is_count,
    "started_at": _is_number,
    "warnings": _is_list_of_texts,
}


def result_key(result_path: str, rank: int) -> str:
    """Names the object that holds a rank's record."""
    return f"{result_path}/{rank}.json"


def predictions_key(result_path: str, rank: int) -> str:
    """Names the object that holds a rank's predictions."""
    return f"{result_path}/predictions/{rank}.parquet"


def natural_order(key: str) -> list[tuple[int, int, str]]:
    """Gives a sort key by which 2.pt comes before 10.pt."""
    parts = re.split(r"(\d+)", key)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def choose_partitions(etags: Mapping[str, str], prefix: str, file_limit: int | None) -> list[Slice]:
    """Chooses the partitions among the objects under a prefix.

    Args:
        etags: the ETag of each object, by its key.
        prefix: the URL of the prefix, for the message of the error.
        file_limit: how many partitions to choose at most; None for all.

    Returns:
        The partitions, in natural order of their keys.

    Raises:
        PartitionMissing: no object is a partition.
    """
    chosen = sorted((key for key in etags if key.lower().endswith(PARTITION_SUFFIXES)), key=natural_order)
    if not chosen:
        found = f"{len(etags)} objects, none of them" if etags else "no object"
        raise PartitionMissing(
            f"{found} ending in {', '.join(PARTITION_SUFFIXES)} lies under {prefix}/: upload partitions there "
            "(cosmicai split makes them) or give another data_prefix",
            object=f"{prefix}/",
        )
    return [Slice(key, etag=etags[key]) for key in chosen[:file_limit]]


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
    request: RunRequest, shares: Sequence[Sequence[Slice]], run_key: str, started_at: float
) -> list[Assignment]:
    """Makes the manifest of a run.

    Args:
        request: the execution input.
        shares: what each rank works on; their number is the world size.
        run_key: the run's secret, in hex.
        started_at: when the execution began, in seconds since the epoch.

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
        )
        for rank, share in enumerate(shares)
    ]
