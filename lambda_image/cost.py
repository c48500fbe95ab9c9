"""The cost of a run on AWS: what is billed, times the price list. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

# From https://aws.amazon.com/{lambda,step-functions,s3,fargate,vpc}/pricing.
PRICES_FROM = "us-east-1, 2026-01"
LAMBDA_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
LAMBDA_REQUEST = 0.20 / 1e6
STEP_FUNCTIONS_TRANSITION = 0.025 / 1e3
S3_PUT = 0.005 / 1e3  # also LIST
S3_GET = 0.0004 / 1e3  # also HEAD
FARGATE_VCPU_HOUR, FARGATE_GB_HOUR = 0.04048, 0.004445
PUBLIC_IPV4_HOUR = 0.005
RENDEZVOUS_VCPU, RENDEZVOUS_GB = 0.25, 0.5  # the smallest Fargate task
TRANSITIONS_PER_RUN, TRANSITIONS_PER_RANK = 5, 2  # Start, Init, Ranks, Summarize, End; start and task of each child


@dataclass(frozen=True)
class Billed:
    """What AWS bills for one invocation: its time, and its requests to S3."""

    seconds: float  # with the cold start, which has always been billed for container images
    memory_mb: int
    puts: int = 0
    gets: int = 0


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
    every = list(invocations)
    gb_seconds = sum(one.seconds * one.memory_mb / 1024 for one in every)
    compute = gb_seconds * LAMBDA_GB_SECOND[architecture] + len(every) * LAMBDA_REQUEST
    steps = (TRANSITIONS_PER_RUN + TRANSITIONS_PER_RANK * ranks) * STEP_FUNCTIONS_TRANSITION
    storage = sum(one.puts * S3_PUT + one.gets * S3_GET for one in every)
    hourly = RENDEZVOUS_VCPU * FARGATE_VCPU_HOUR + RENDEZVOUS_GB * FARGATE_GB_HOUR + PUBLIC_IPV4_HOUR
    server = None if wall_s is None else hourly * wall_s / 3600
    if not with_rendezvous:
        server = 0.0
    return Cost(compute, steps, storage, server, compute + steps + storage + (server or 0.0))
