"""What a run used, in the terms in which AWS bills it. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lambda_image.cost import FREE_STORAGE_MB, Billed, BillingTerms, BillLine, bill, usd_of
from lambda_image.dealing import deal
from scripts.stack.costs import vcpus


@dataclass(frozen=True)
class RankTimes:
    """The seconds of one invocation of a rank, and what else of it is billed."""

    memory_mb: float
    inference_s: float  # or all of the time, where nobody has measured the parts
    start_s: float = 0.0
    read_s: float = 0.0
    waiting_s: float = 0.0
    other_s: float = 0.0
    puts: int = 0
    gets: int = 0
    rank: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)  # of each partition

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.start_s + self.read_s + self.inference_s + self.waiting_s + self.other_s

    def billed(self, storage_mb: float = FREE_STORAGE_MB) -> Billed:
        """What AWS bills for it.

        Args:
            storage_mb: size of /tmp.
        """
        return Billed(
            self.seconds, self.memory_mb, self.puts, self.gets, self.start_s, self.waiting_s, storage_mb=storage_mb
        )


@dataclass(frozen=True)
class MeasuredRun:
    """A run with all that is billed of it."""

    name: str
    times: Sequence[RankTimes]
    ranks: int
    others: Sequence[Billed] = ()  # Init and Summarize
    wall_s: float | None = None
    with_rendezvous: bool = True
    result_gb: float = 0.0
    data_gb: float = 0.0
    notes: Sequence[str] = ()
    architecture: str | None = None  # of the processors, where it is known

    def bill(self, terms: BillingTerms, storage_mb: float = FREE_STORAGE_MB) -> list[BillLine]:
        """Makes the bill of the run.

        Args:
            terms: what it is billed by.
            storage_mb: size of /tmp of each rank.
        """
        server_s = self.wall_s if self.with_rendezvous else 0.0
        return bill([one.billed(storage_mb) for one in self.times], self.others, self.ranks, server_s, terms)


@dataclass(frozen=True)
class WhatIf:
    """Another choice of what a run is given. What is None stays as it was."""

    words: str = "as it was"
    memory_mb: float | None = None
    world_size: int | None = None
    architecture: str | None = None
    storage_mb: float | None = None


def supposed(run: MeasuredRun, change: WhatIf) -> MeasuredRun:
    """Estimates a run under another choice.

    Inference takes as many vCPU-seconds as it took, and reading as many seconds, dealt anew to the ranks. A rank then
    waits at the end for the slowest one, starts and writes as it did. Where nobody measured the parts, all the time
    counts as inference.

    Args:
        run: what was measured.
        change: what is changed.
    """
    if change.memory_mb is None and change.world_size is None:
        return run
    count = change.world_size or len(run.times)
    sizes = [len(share) for share in deal(range(_pieces(run)), count)] if change.world_size else None
    memory = [one.memory_mb for one in run.times]
    memory_mb = change.memory_mb or max(memory)
    faster = vcpus(max(memory)) / vcpus(memory_mb)
    if sizes is None:
        times = [replace(one, memory_mb=memory_mb, inference_s=one.inference_s * faster) for one in run.times]
    else:
        inference, reading = (sum(getattr(one, name) for one in run.times) for name in ("inference_s", "read_s"))
        mean = {name: _mean(run, name) for name in ("start_s", "waiting_s", "other_s", "puts", "gets")}
        pieces = sum(sizes)
        times = [
            RankTimes(
                memory_mb=memory_mb,
                inference_s=inference * faster * size / pieces,
                read_s=reading * size / pieces,
                start_s=mean["start_s"],
                waiting_s=mean["waiting_s"],
                other_s=mean["other_s"],
                puts=round(mean["puts"]),
                gets=max(1, round(mean["gets"] * len(run.times) * size / pieces)),
                rank=rank,
            )
            for rank, size in enumerate(sizes)
        ]
    longer = max(one.seconds for one in times) - max(one.seconds for one in run.times)
    others = [replace(one, gets=count) for one in run.others]
    wall_s = None if run.wall_s is None else max(0.0, run.wall_s + longer)
    return replace(run, times=times, ranks=count, others=others, wall_s=wall_s)


def _pieces(run: MeasuredRun) -> int:
    """Into how many pieces the data can be dealt: its files, or any number where they are not known or cut by rows."""
    files = {key for one in run.times for key in one.rows}
    return len(files) if len(files) > 1 else 10**6


def _mean(run: MeasuredRun, name: str) -> float:
    return sum(float(getattr(one, name)) for one in run.times) / len(run.times)


@dataclass(frozen=True)
class Portion:
    """What one rank or one partition cost."""

    name: str
    galaxies: int
    seconds: float
    usd: float


def by_rank(run: MeasuredRun, terms: BillingTerms, storage_mb: float = FREE_STORAGE_MB) -> list[Portion]:
    """Computes what each rank cost: its Lambda time, its transitions and its requests."""
    return [
        Portion(_name(one, number), sum(one.rows.values()), one.seconds, usd_of(_of_one(one, terms, storage_mb)))
        for number, one in enumerate(run.times)
    ]


def by_partition(run: MeasuredRun, terms: BillingTerms, storage_mb: float = FREE_STORAGE_MB) -> list[Portion]:
    """Computes what each partition cost, which is its share by rows of what its ranks cost."""
    found: dict[str, Portion] = {}
    for one in run.times:
        usd, rows = usd_of(_of_one(one, terms, storage_mb)), sum(one.rows.values())
        for key, count in one.rows.items():
            before = found.get(key, Portion(key, 0, 0.0, 0.0))
            share = count / rows if rows else 1 / len(one.rows)
            found[key] = Portion(
                key, before.galaxies + count, before.seconds + one.seconds * share, before.usd + usd * share
            )
    return list(found.values())


def _of_one(one: RankTimes, terms: BillingTerms, storage_mb: float) -> list[BillLine]:
    """The bill of a rank alone: that of a run of one rank without what is the run's."""
    lines = bill([one.billed(storage_mb)], [], 1, 0.0, terms)
    return [line for line in lines if not line.part.endswith("of the run")]


def _name(one: RankTimes, number: int) -> str:
    return str(number if one.rank is None else one.rank)
