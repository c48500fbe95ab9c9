"""Who does what in a run: the manifest's items, one per rank, and how partitions are dealt. No I/O.

Ranks get contiguous stretches of the naturally ordered partitions, so that the ranks' predictions one after another are
the dataset's own order, whatever the world size.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.events import RunRequest, run_id_of

PARTITION_SUFFIXES = (".pt", ".pth", ".safetensors")

T = TypeVar("T")


@dataclass(frozen=True)
class Slice:
    """A partition's key, and which of its rows: all where `rows` is None, else [start, stop).

    `etag` is the version that Init saw: ranks read that one or none.
    """

    key: str
    rows: tuple[int, int] | None = None
    etag: str | None = None


@dataclass(frozen=True)
class Assignment:
    """One item of the manifest: everything that a rank must know."""

    execution: str  # the execution's ARN
    run_key: str  # hex; proves to other ranks that one belongs to this run
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
        return {"run_id": self.run_id, **asdict(self)}

    @classmethod
    def from_json(cls, item: object) -> "Assignment":
        """Raises InvalidEvent where `item` is not what `to_json` gives."""
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


def result_key(result_path: str, rank: int) -> str:
    return f"{result_path}/{rank}.json"


def predictions_key(result_path: str, rank: int) -> str:
    return f"{result_path}/predictions/{rank}.parquet"


def natural_order(key: str) -> list[tuple[int, int, str]]:
    """A sort key by which 2.pt comes before 10.pt."""
    parts = re.split(r"(\d+)", key)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def choose_partitions(etags: Mapping[str, str], prefix: str, file_limit: int | None) -> list[Slice]:
    """The partitions among the objects with these ETags by key, in natural order, at most `file_limit`.

    Raises PartitionMissing if there are none.
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
    """`things` in contiguous stretches whose lengths differ by at most one; some are empty if there are too few."""
    share, extra = divmod(len(things), world_size)
    ends = [0, *itertools.accumulate(share + (rank < extra) for rank in range(world_size))]
    return [list(things[start:stop]) for start, stop in itertools.pairwise(ends)]


def deal_rows(key: str, etag: str, rows: int, world_size: int) -> list[list[Slice]]:
    """One dataset of `rows` rows in row ranges whose lengths differ by at most one."""
    stretches = deal(range(rows), world_size)
    return [[Slice(key, (stretch[0], stretch[-1] + 1), etag)] if stretch else [] for stretch in stretches]


def assignments(
    request: RunRequest, shares: Sequence[Sequence[Slice]], run_key: str, started_at: float
) -> list[Assignment]:
    """The manifest of a run whose rank r works on `shares[r]`."""
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
