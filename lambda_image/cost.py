"""The cost of a run on AWS: what is billed, times the price list in prices.json. No I/O but the list itself.

A bill is a list of lines, each a quantity and a price. The summary of a run adds them up by service.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PRICE_LIST = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Prices:
    """A price list: US dollars by name, where and when they held. Some prices are given by processor architecture."""

    region: str
    date: str
    usd: Mapping[str, float | Mapping[str, float]]

    def __str__(self) -> str:
        return f"{self.region}, {self.date}"

    def of(self, name: str, architecture: str = "x86_64") -> float:
        """Looks up one price.

        Args:
            name: its name in the list.
            architecture: x86_64 or arm64, for prices that depend on it.
        """
        price = self.usd[name]
        return price[architecture] if isinstance(price, Mapping) else price


SHIPPED = Prices(PRICE_LIST["region"], PRICE_LIST["date"], PRICE_LIST["usd"])
PRICES_FROM = str(SHIPPED)
LAMBDA_GB_SECOND: Mapping[str, float] = PRICE_LIST["usd"]["lambda_gb_second"]  # by the processor's architecture
ARCHITECTURES = ("x86_64", "arm64")
RENDEZVOUS_VCPU, RENDEZVOUS_GB = 0.25, 0.5  # the smallest Fargate task
TRANSITIONS_PER_RUN, TRANSITIONS_PER_RANK = 5, 2  # Start, Init, Ranks, Summarize, End; start and task of each child
FREE_STORAGE_MB = 512  # of /tmp, in every function
BILLED_MS = 1  # Lambda bills whole milliseconds,
EXPRESS_MS, EXPRESS_GB = 100, 64 / 1024  # and Express executions whole tenths of a second and blocks of 64 MB
TINY = 1e-6  # of a billed unit: by so little a float may be above a whole number
LAMBDA, STEP_FUNCTIONS, S3, RENDEZVOUS, LOGS = "Lambda", "Step Functions", "S3", "rendezvous server", "logs"


@dataclass(frozen=True)
class Billed:
    """What AWS bills for one invocation: its time, and its requests to S3."""

    seconds: float  # with the cold start, which has always been billed for container images
    memory_mb: float
    puts: int = 0
    gets: int = 0
    start_s: float = 0.0  # of the seconds: the cold start
    waiting_s: float = 0.0  # of the seconds: the gather
    storage_mb: float = FREE_STORAGE_MB  # size of /tmp


@dataclass(frozen=True)
class BillingTerms:
    """What a run is billed by, beside what it used."""

    architecture: str = "x86_64"
    express: bool = False  # whether the Map's children are Express executions
    server_vcpu: float = RENDEZVOUS_VCPU
    server_gb: float = RENDEZVOUS_GB
    log_kb: float = 0.0  # that an invocation writes to its log, in 1,000 bytes
    prices: Prices = field(default=SHIPPED)

    def price(self, name: str) -> float:
        """Looks up a price for the architecture."""
        return self.prices.of(name, self.architecture)


TERMS = BillingTerms()


@dataclass(frozen=True)
class BillLine:
    """One line of a bill."""

    service: str
    part: str
    quantity: float
    unit: str
    unit_usd: float

    @property
    def usd(self) -> float:
        """What it costs, in US dollars."""
        return self.quantity * self.unit_usd


@dataclass(frozen=True)
class Cost:
    """The cost of a run by service, in US dollars.

    The total lacks what is unknown. The rendezvous server's share is None where the run's wall time is unknown.
    """

    lambda_usd: float
    step_functions_usd: float
    s3_usd: float
    rendezvous_usd: float | None
    total_usd: float
    prices: str = PRICES_FROM


def cost(
    invocations: Iterable[Billed],
    ranks: int,
    wall_s: float | None,
    with_rendezvous: bool,
    architecture: str = "x86_64",
) -> Cost:
    """Computes what a run costs.

    Args:
        invocations: every invocation of a function.
        ranks: how many ranks the run had.
        wall_s: how long it took, in seconds; None where that is not known.
        with_rendezvous: whether it used a rendezvous server, whose hours it then pays for as long as it took.
        architecture: of the functions, x86_64 or arm64.
    """
    terms = BillingTerms(architecture)
    lines = bill(invocations, [], ranks, wall_s if with_rendezvous else 0.0, terms)
    compute, steps, storage, server = (usd_of(lines, service) for service in (LAMBDA, STEP_FUNCTIONS, S3, RENDEZVOUS))
    known = None if with_rendezvous and wall_s is None else server
    return Cost(compute, steps, storage, known, compute + steps + storage + server)


def usd_of(lines: Iterable[BillLine], service: str | None = None) -> float:
    """Adds up the lines of one service, or all, in US dollars."""
    return sum(line.usd for line in lines if service in (None, line.service))


def bill(
    of_ranks: Iterable[Billed],
    others: Iterable[Billed],
    ranks: int,
    server_s: float | None,
    terms: BillingTerms = TERMS,
) -> list[BillLine]:
    """Makes the bill of a run.

    Args:
        of_ranks: the invocations of ranks. A rank that was tried again has several.
        others: those of Init and Summarize.
        ranks: how many ranks the run had.
        server_s: for how long it pays the rendezvous server, in seconds; None where that is not known.
        terms: what it is billed by.
    """
    of_ranks = list(of_ranks)
    every = [*of_ranks, *others]
    return [
        *_lambda_lines(of_ranks, every[len(of_ranks) :], terms),
        *_step_lines(of_ranks, ranks, terms),
        BillLine(S3, "PUT and LIST requests", sum(one.puts for one in every), "requests", terms.price("s3_put")),
        BillLine(S3, "GET requests", sum(one.gets for one in every), "requests", terms.price("s3_get")),
        *rendezvous_lines(server_s or 0.0, terms),
        BillLine(LOGS, "taken in by CloudWatch", len(every) * terms.log_kb / 1e6, "GB", terms.price("log_gb")),
    ]


def _lambda_lines(of_ranks: list[Billed], others: list[Billed], terms: BillingTerms) -> list[BillLine]:
    every = [*of_ranks, *others]
    start = sum(one.start_s * one.memory_mb for one in of_ranks) / 1024
    waiting = sum(one.waiting_s * one.memory_mb for one in of_ranks) / 1024
    beside = sum(_gb_seconds(one) for one in others)
    work = sum(_gb_seconds(one) for one in of_ranks) - start - waiting
    above = [one for one in every if one.storage_mb > FREE_STORAGE_MB]
    storage = sum(rounded_up(one.seconds, BILLED_MS) * (one.storage_mb - FREE_STORAGE_MB) for one in above) / 1024
    price = terms.price("lambda_gb_second")
    return [
        BillLine(LAMBDA, "ranks starting", start, "GB-s", price),
        BillLine(LAMBDA, "ranks working", work, "GB-s", price),
        BillLine(LAMBDA, "ranks waiting in the gather", waiting, "GB-s", price),
        BillLine(LAMBDA, "Init and Summarize", beside, "GB-s", price),
        BillLine(LAMBDA, "requests", len(every), "requests", terms.price("lambda_request")),
        BillLine(
            LAMBDA, f"disk (/tmp) beyond {FREE_STORAGE_MB} MB", storage, "GB-s", terms.price("lambda_storage_gb_second")
        ),
    ]


def _gb_seconds(one: Billed) -> float:
    return rounded_up(one.seconds, BILLED_MS) * one.memory_mb / 1024


def _step_lines(of_ranks: list[Billed], ranks: int, terms: BillingTerms) -> list[BillLine]:
    """Express children are billed by requests and duration, and their starts are transitions of the parent."""
    price = terms.price("step_functions_transition")
    per_rank = 1 if terms.express else TRANSITIONS_PER_RANK
    lines = [
        BillLine(STEP_FUNCTIONS, "transitions of the run", TRANSITIONS_PER_RUN, "transitions", price),
        BillLine(STEP_FUNCTIONS, "transitions of the ranks", per_rank * ranks, "transitions", price),
    ]
    if terms.express:
        gb_s = sum(rounded_up(one.seconds, EXPRESS_MS) for one in of_ranks) * EXPRESS_GB
        each, second = terms.price("step_functions_express_request"), terms.price("step_functions_express_gb_second")
        lines.append(BillLine(STEP_FUNCTIONS, "Express requests", ranks, "requests", each))
        lines.append(BillLine(STEP_FUNCTIONS, "Express duration", gb_s, "GB-s", second))
    return lines


def rounded_up(seconds: float, unit_ms: int) -> float:
    """Rounds a time up to the next whole unit of its bill, in seconds."""
    return math.ceil(seconds * 1000 / unit_ms - TINY) * unit_ms / 1000


def rendezvous_lines(seconds: float, terms: BillingTerms = TERMS) -> list[BillLine]:
    """Makes the lines of a rendezvous server that runs on Fargate for so long, with its public address."""
    hours = seconds / 3600
    return [
        BillLine(RENDEZVOUS, "Fargate vCPU", terms.server_vcpu * hours, "vCPU-h", terms.price("fargate_vcpu_hour")),
        BillLine(RENDEZVOUS, "Fargate memory", terms.server_gb * hours, "GB-h", terms.price("fargate_gb_hour")),
        BillLine(RENDEZVOUS, "public IPv4 address", hours, "h", terms.price("public_ipv4_hour")),
    ]
