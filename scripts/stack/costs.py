"""What a stack costs while nobody runs, and what a run costs, by the price list of lambda_image/prices.json."""

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_image.cost import PRICES_FROM, Billed, BillingTerms, Cost, cost, rendezvous_lines, usd_of
from lambda_image.settings import MAX_VCPUS, MB_PER_VCPU
from lambda_image.summary import OTHER_SECONDS, beside_the_ranks

HOURS_PER_MONTH = 730
ALARMS = 3  # in stack.yaml
BALANCER_ADDRESSES = 2  # one in each subnet
SAMPLE_RANKS, SAMPLE_GALAXIES = 4, 4096
PUTS_PER_RANK = 3  # the predictions, and the record before and after the gather
DISTRIBUTION_PUTS = 1  # of each rank, where the weights have a calibration, as those in the image have
GETS_PER_PARTITION = 1
PARTITIONS = 8  # of the sample galaxies


@dataclass(frozen=True)
class Speed:
    """How fast a rank is. These values were measured in the image `slim` (docs/images.md)."""

    galaxies_per_vcpu_s: float = 870.0  # in the compiled engine
    start_s: float = 0.2  # of its process
    transfer_s: float = 0.3  # of data, results and gather


@dataclass(frozen=True)
class Standing:
    """One thing that is billed by the month, in US dollars."""

    what: str
    usd: float
    unless: str = ""  # when AWS does not bill it


def standing(parameters: Mapping[str, str], image_gb: float, terms: BillingTerms | None = None) -> list[Standing]:
    """Lists what the stack costs in a month in which nobody runs.

    Args:
        parameters: of stack.yaml, by name.
        image_gb: what the images take in ECR, compressed.
        terms: the size and the prices of the rendezvous server; without them, those of the stack.
    """
    terms = terms or BillingTerms(parameters.get("Architecture", "x86_64"))
    dashboard = Standing("dashboard", terms.price("dashboard_month"), "free for the account's first three")
    alarms = Standing(f"{ALARMS} alarms", ALARMS * terms.price("alarm_month"), "free for the account's first ten")
    lines = [
        Standing("key of the rendezvous server, in Secrets Manager", terms.price("secret_month")),
        Standing(f"images in ECR, {image_gb:.2f} GB", image_gb * terms.price("image_gb_month")),
        alarms,
        dashboard,
    ]
    if parameters.get("WithLoadBalancer") == "true":
        server = usd_of(rendezvous_lines(HOURS_PER_MONTH * 3600, terms))
        addresses = BALANCER_ADDRESSES * terms.price("public_ipv4_hour") * HOURS_PER_MONTH
        balancer = terms.price("load_balancer_hour") * HOURS_PER_MONTH
        lines += [
            Standing("rendezvous server that always runs, with its address", server),
            Standing("network load balancer, before traffic", balancer),
            Standing("addresses of the load balancer", addresses),
        ]
    return lines


def vcpus(memory_mb: float) -> float:
    """Computes how many vCPUs Lambda gives a function of this memory."""
    return min(memory_mb / MB_PER_VCPU, MAX_VCPUS)


def run_cost(
    ranks: int,
    galaxies: int,
    memory_mb: int,
    *,
    summarize_mb: int = 1024,
    architecture: str = "x86_64",
    partitions: int = PARTITIONS,
    speed: Speed | None = None,
) -> Cost:
    """Estimates what a run with a rendezvous server costs, as its summary will count it.

    Args:
        ranks: how many there are.
        galaxies: in all partitions together.
        memory_mb: of a rank.
        summarize_mb: memory of Summarize.
        architecture: x86_64 or arm64.
        partitions: how many files the data has.
        speed: how fast a rank is.
    """
    speed = speed or Speed()
    seconds = speed.start_s + speed.transfer_s + galaxies / ranks / (speed.galaxies_per_vcpu_s * vcpus(memory_mb))
    gets = GETS_PER_PARTITION * -(-partitions // ranks)
    each = [Billed(seconds, memory_mb, PUTS_PER_RANK + DISTRIBUTION_PUTS, gets)] * ranks
    others = beside_the_ranks(ranks, summarize_mb)
    return cost([*each, *others], ranks, seconds + 2 * OTHER_SECONDS, with_rendezvous=True, architecture=architecture)


def cost_lines(parameters: Mapping[str, str], image_gb: float) -> list[str]:
    """Says what the stack and a sample run cost."""
    lines = standing(parameters, image_gb)
    # Of what is shown, so that the column adds up.
    total = sum(round(line.usd, 2) for line in lines)
    free = sum(round(line.usd, 2) for line in lines if line.unless)
    sample = run_cost(
        SAMPLE_RANKS,
        SAMPLE_GALAXIES,
        int(parameters["RankMemory"]),
        summarize_mb=int(parameters["SummarizeMemory"]),
        architecture=parameters["Architecture"],
    )
    return [
        f"cost while nobody runs, in USD a month (prices: {PRICES_FROM})",
        *(f"  {line.usd:6.2f}  {line.what}{f' ({line.unless})' if line.unless else ''}" for line in lines),
        f"  {total:6.2f}  in all, or {total - free:.2f} where the free ones are",
        f"cost of a run of {SAMPLE_GALAXIES:,} galaxies by {SAMPLE_RANKS} ranks: about {sample.total_usd:.4f} USD",
    ]
