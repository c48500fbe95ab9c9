"""How long a run takes and what it costs, by the constants of another. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from lambda_image.comm.operations.cost_model import MEASURED
from lambda_image.cost import Billed, BillingTerms, BillLine, usd_of
from lambda_image.run_time import plan_waves
from scripts.billing.measured import MeasuredRun, RankTimes
from scripts.planning.calibration import Calibration
from scripts.planning.ramp import Starts, start_times
from scripts.stack.costs import vcpus

MIB = 2**20
LAMBDA_S = 900.0  # that an invocation may take
ROOM = 1.1  # of memory above the measured peak
RECORD_BYTES = 4_000  # of a rank's record in a part
NETWORK_BYTES_PER_S = 75e6  # that a function receives: 600 Mbit/s, from AWS's documents and not measured
RECORDS_AT_ONCE, TABLES_AT_ONCE = 16, 4  # that Summarize reads from S3
REQUEST_S = 0.03  # that each takes on AWS
BESIDE_MB = 1024
GATHER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Case:
    """A run that may be made."""

    galaxies: int
    partitions: int
    world_size: int
    memory_mb: float
    local: bool = False  # on the machine of the measured run
    quota: int = 1000

    @property
    def waves(self) -> int:
        """In how many waves its ranks work."""
        return 1 if self.local else plan_waves(self.world_size, self.quota).count


@dataclass(frozen=True)
class Forecast:
    """What it will take. `wall_s` counts as a summary does: from the start until Summarize."""

    case: Case
    wall_s: float
    summarize_s: float
    slowest_rank_s: float
    last_start_s: float
    refused: int
    gathered: bool
    usd: float
    lines: Sequence[BillLine]
    problems: Sequence[str]

    @property
    def total_s(self) -> float:
        """From the start until the summary is there."""
        return self.wall_s + self.summarize_s

    @property
    def possible(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


def forecast(measured: Calibration, case: Case, terms: BillingTerms | None = None) -> Forecast:
    """Predicts a run.

    Args:
        measured: the constants of one that was measured.
        case: the run.
        terms: what it is billed by.
    """
    largest, smallest = _shares(case)
    slow, fast = (_work(measured, case, share) for share in (largest, smallest))
    start_s = 0.0 if case.local else measured.start_s
    gathered = case.local or case.world_size <= case.quota
    gather_s = _gather(measured, case) if gathered else 0.0
    with_most = case.partitions % case.world_size or case.world_size  # ranks with the largest share
    works = [slow if rank < with_most else fast for rank in range(case.world_size)]
    durations = [start_s + sum(work) + measured.fixed_s for work in works]
    starts = Starts([0.0] * len(durations), 0) if case.local else start_times(durations, case.quota)
    ends = [at + duration for at, duration in zip(starts.at, durations, strict=True)]
    wall_s = measured.overhead_s + max(ends) + gather_s
    times = _times(measured, case, works, start_s, gather_s)
    if gathered:  # only rank 0 waits for the others
        waits = min(GATHER_TIMEOUT_S, max(ends) - ends[0])
        times[0] = replace(times[0], waiting_s=times[0].waiting_s + waits)
    summarize_s = _summarize(case, gathered)
    run = MeasuredRun(
        name="plan",
        times=times,
        ranks=case.world_size,
        others=[Billed(1.0, BESIDE_MB, puts=2, gets=1), Billed(summarize_s, BESIDE_MB, puts=2, gets=case.world_size)],
        wall_s=wall_s,
        with_rendezvous=gathered,
    )
    lines = run.bill(terms or BillingTerms())
    if starts.refused:
        price = (terms or BillingTerms()).price("step_functions_transition")
        lines.append(BillLine("Step Functions", "retries of refused starts", starts.refused, "transitions", price))
    return Forecast(
        case=case,
        wall_s=wall_s,
        summarize_s=summarize_s,
        slowest_rank_s=max(durations),
        last_start_s=max(starts.at),
        refused=starts.refused,
        gathered=gathered,
        usd=usd_of(lines),
        lines=lines,
        problems=[] if case.local else _problems(measured, case, max(durations) + gather_s, starts),
    )


def _shares(case: Case) -> tuple[float, float]:
    """Galaxies of a rank with the most partitions, and of one with one less."""
    each = case.galaxies / case.partitions
    most = ceil(case.partitions / case.world_size)
    return most * each, case.partitions // case.world_size * each


def _work(measured: Calibration, case: Case, galaxies: float) -> tuple[float, float]:
    """Seconds of reading and of inference. Ranks on one machine share its cores and its S3."""
    size = galaxies * measured.galaxy_bytes
    if not case.local:
        return size * measured.read_s, galaxies * measured.cpu_s / vcpus(case.memory_mb)
    busy = min(case.world_size, case.partitions)
    total = galaxies * busy
    return total * measured.galaxy_bytes * measured.read_s, total * measured.cpu_s / measured.cores


def _gather(measured: Calibration, case: Case) -> float:
    """Seconds from the end of the last rank until rank 0 has written what it got."""
    peers = case.world_size - 1
    parts = case.galaxies * measured.part_bytes + peers * RECORD_BYTES
    per_byte = MEASURED.byte if case.local else 1 / NETWORK_BYTES_PER_S
    return measured.gather_s + peers * MEASURED.message + parts * per_byte


def _times(
    measured: Calibration, case: Case, works: Sequence[tuple[float, float]], start_s: float, gather_s: float
) -> list[RankTimes]:
    gets = ceil(measured.gets * ceil(case.partitions / case.world_size))
    return [
        RankTimes(
            memory_mb=case.memory_mb,
            inference_s=inference,
            start_s=start_s,
            read_s=read,
            waiting_s=gather_s if rank == 0 else min(gather_s, measured.gather_s),
            other_s=measured.fixed_s,
            puts=round(measured.puts),
            gets=gets,
            rank=rank,
        )
        for rank, (read, inference) in enumerate(works)
    ]


def _summarize(case: Case, gathered: bool) -> float:
    """Seconds to read the records of all ranks, and their tables where nothing was gathered."""
    turns = case.world_size / RECORDS_AT_ONCE + (0 if gathered else case.world_size / TABLES_AT_ONCE)
    return 1.0 + turns * REQUEST_S


def _problems(measured: Calibration, case: Case, longest_s: float, starts: Starts) -> list[str]:
    found = []
    if longest_s > LAMBDA_S:
        found.append(f"a rank takes {longest_s:,.0f} s, and Lambda ends it after {LAMBDA_S:.0f} s")
    if case.memory_mb < measured.peak_mb * ROOM:
        found.append(f"a rank needs {measured.peak_mb * ROOM:,.0f} MB")
    if starts.given_up:
        found.append(f"{starts.given_up:,} ranks find no room within the tries of the state machine")
    return found
