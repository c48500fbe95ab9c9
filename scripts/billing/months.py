"""What runs cost in a month and a year, with what a deployment costs while nobody runs. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from lambda_image.cost import BillingTerms, BillLine, usd_of
from scripts.billing.measured import MeasuredRun
from scripts.stack.costs import standing

MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class KeptResources:
    """What is kept beside the runs."""

    load_balancer: bool = False  # with a rendezvous server that always runs
    image_gb: float = 0.2  # in ECR, compressed
    data_gb: float = 0.0  # on S3 all month
    months_kept: float = 1.0  # for which the results and the logs of a run are kept


@dataclass(frozen=True)
class MonthlyLine:
    """One line of a month's bill, in US dollars."""

    part: str
    usd: float
    unless: str = ""  # when AWS does not bill it


def month(
    run: MeasuredRun, lines: Sequence[BillLine], runs: int, kept: KeptResources, terms: BillingTerms
) -> list[MonthlyLine]:
    """Makes the bill of a month.

    Args:
        run: a run, of which there are `runs` in the month.
        lines: its bill.
        runs: how many there are.
        kept: what is kept beside them.
        terms: what is billed by.
    """
    results = run.result_gb * runs * kept.months_kept
    logs = sum(line.quantity for line in lines if line.service == "logs") * runs * kept.months_kept
    parameters = {"WithLoadBalancer": str(kept.load_balancer).lower(), "Architecture": terms.architecture}
    by_the_month = standing(parameters, kept.image_gb, terms)
    return [
        MonthlyLine(f"{runs:,} runs", usd_of(lines) * runs),
        MonthlyLine(f"data on S3, {kept.data_gb:,.2f} GB", kept.data_gb * terms.price("s3_gb_month")),
        MonthlyLine(f"results on S3, {results:,.2f} GB", results * terms.price("s3_gb_month")),
        MonthlyLine(f"logs that are kept, {logs:,.2f} GB", logs * terms.price("log_gb_month")),
        *(MonthlyLine(line.what, line.usd, line.unless) for line in by_the_month),
    ]
