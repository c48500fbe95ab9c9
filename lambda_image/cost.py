"""The cost of a run on AWS: what is billed, times the price list in prices.json."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PRICE_LIST = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
PRICES_FROM = f"{PRICE_LIST['region']}, {PRICE_LIST['date']}"
PRICES: Mapping[str, float] = {name: usd for name, usd in PRICE_LIST["usd"].items() if isinstance(usd, float)}
LAMBDA_GB_SECOND: Mapping[str, float] = PRICE_LIST["usd"]["lambda_gb_second"]  # by the processor's architecture
FARGATE_VCPU_HOUR: Mapping[str, float] = PRICE_LIST["usd"]["fargate_vcpu_hour"]
FARGATE_GB_HOUR: Mapping[str, float] = PRICE_LIST["usd"]["fargate_gb_hour"]
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
    compute = gb_seconds * LAMBDA_GB_SECOND[architecture] + len(every) * PRICES["lambda_request"]
    steps = (TRANSITIONS_PER_RUN + TRANSITIONS_PER_RANK * ranks) * PRICES["step_functions_transition"]
    storage = sum(one.puts * PRICES["s3_put"] + one.gets * PRICES["s3_get"] for one in every)
    server = None if wall_s is None else rendezvous_hour(architecture) * wall_s / 3600
    if not with_rendezvous:
        server = 0.0
    return Cost(compute, steps, storage, server, compute + steps + storage + (server or 0.0))


def rendezvous_hour(architecture: str = "x86_64") -> float:
    """Computes what a rendezvous server costs in an hour, with its public address, in US dollars.

    Args:
        architecture: of its processor, x86_64 or arm64.
    """
    task = RENDEZVOUS_VCPU * FARGATE_VCPU_HOUR[architecture] + RENDEZVOUS_GB * FARGATE_GB_HOUR[architecture]
    return task + PRICES["public_ipv4_hour"]
