from pathlib import Path

import pytest

from lambda_image.cost import ARCHITECTURES, PRICE_LIST, PRICES_FROM, SHIPPED, BillingTerms, rendezvous_lines, usd_of
from scripts.stack.costs import BALANCER_ADDRESSES, HOURS_PER_MONTH, Speed, cost_lines, run_cost, standing

ROOT = Path(__file__).resolve().parents[4]
DEFAULTS = {"RankMemory": "3008", "SummarizeMemory": "1024", "Architecture": "x86_64", "WithLoadBalancer": "false"}


def rendezvous_hour(architecture: str = "x86_64") -> float:
    return usd_of(rendezvous_lines(3600.0, BillingTerms(architecture)))


def test_the_price_list_says_when_and_where_and_from_whom():
    assert f"{PRICE_LIST['region']}, {PRICE_LIST['date']}" == PRICES_FROM
    prefixes = tuple(PRICE_LIST["sources"])
    assert all(name.startswith(prefixes) for name in PRICE_LIST["usd"])
    assert all(source.startswith("https://aws.amazon.com/") for source in PRICE_LIST["sources"].values())
    assert all(SHIPPED.of(name, one) > 0 for name in SHIPPED.usd for one in ARCHITECTURES)


def test_a_stack_without_a_load_balancer_has_no_hours():
    lines = standing(DEFAULTS, image_gb=2.0)
    assert sum(line.usd for line in lines if not line.unless) == pytest.approx(0.40 + 2 * 0.10)
    assert sum(line.usd for line in lines) == pytest.approx(0.40 + 0.20 + 3 * 0.10 + 3.00)


def test_a_load_balancer_costs_by_the_hour_with_its_server_and_addresses():
    without = sum(line.usd for line in standing(DEFAULTS, 0.0))
    total = sum(line.usd for line in standing({**DEFAULTS, "WithLoadBalancer": "true"}, 0.0))
    hourly = SHIPPED.of("load_balancer_hour") + BALANCER_ADDRESSES * SHIPPED.of("public_ipv4_hour") + rendezvous_hour()
    assert total - without == pytest.approx(hourly * HOURS_PER_MONTH)


def test_arm_is_cheaper_for_functions_and_server():
    assert run_cost(4, 4096, 3008, architecture="arm64").total_usd < run_cost(4, 4096, 3008).total_usd
    assert rendezvous_hour("arm64") < rendezvous_hour()


def test_a_run_is_priced_by_hand():
    estimated = run_cost(4, 4000, 1769, partitions=8, speed=Speed(100.0, start_s=1.0, transfer_s=2.0))
    seconds = 1 + 2 + 1000 / 100
    gb_seconds = 4 * seconds * 1769 / 1024 + 2 * 1.0
    assert estimated.lambda_usd == pytest.approx(gb_seconds * 0.0000166667 + 6 * 0.2e-6)
    assert estimated.step_functions_usd == pytest.approx(13 * 0.000025)
    assert estimated.s3_usd == pytest.approx((4 * 4 + 2 * 2) * 5e-6 + (4 * 2 + 2 * 4) * 4e-7)
    assert estimated.rendezvous_usd == pytest.approx(rendezvous_hour() * (seconds + 2) / 3600)


def test_the_lines_say_what_is_free_and_in_all():
    lines = cost_lines(DEFAULTS, 0.35)
    assert lines[0] == f"cost while nobody runs, in USD a month (prices: {PRICES_FROM})"
    assert lines[-2] == "    3.73  in all, or 0.43 where the free ones are"
    assert lines[-1].startswith("cost of a run of 4,096 galaxies by 4 ranks: about 0.000")


@pytest.mark.parametrize("image_gb", [0.35, 0.05, 1.25, 2.0])
@pytest.mark.parametrize("balancer", ["true", "false"])
def test_the_shown_column_adds_up(balancer: str, image_gb: float):
    shown = [float(line.split()[0]) for line in cost_lines({**DEFAULTS, "WithLoadBalancer": balancer}, image_gb)[1:-1]]
    assert sum(shown[:-1]) == pytest.approx(shown[-1])


def test_the_documents_figures_are_what_is_computed():
    text = (ROOT / "docs" / "aws.md").read_text()
    for line in cost_lines(DEFAULTS, 0.35):
        assert line in text.splitlines(), line
    kept, balanced = (
        cost_lines({**DEFAULTS, "WithLoadBalancer": balancer}, 0.35)[-2].split() for balancer in ("false", "true")
    )
    largest = run_cost(1000, 10**7, 3008, partitions=8000)
    rows = {
        "keep it for a month in which nobody runs": f"{kept[0]}, or {kept[4]} where",
        "keep it for a month with a load balancer": f"{balanced[0]} |",
        "keep 100 GB of data for a month": f"{100 * SHIPPED.of('s3_gb_month'):.2f} |",
        "a run of 4,096 galaxies by 4 ranks": f"{run_cost(4, 4096, 3008).total_usd:.4f} |",
        "a run of 1,000,000 galaxies by 100 ranks": f"{run_cost(100, 10**6, 3008, partitions=800).total_usd:.3f} |",
        "a run of 10,000,000 galaxies by 1,000 ranks": f"{largest.total_usd:.2f} |",
    }
    for step, cost in rows.items():
        assert f"| {step} | {cost}" in text
