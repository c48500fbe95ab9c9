import pytest

from lambda_image.cost import BillingTerms, usd_of
from scripts.billing.months import KeptResources, month
from scripts.billing.sources import stated

TERMS = BillingTerms(log_kb=1000.0)


def test_a_month_has_the_runs_what_they_leave_and_what_stands():
    run = stated(1000, 1.0, 1.0)
    lines = run.bill(TERMS)
    monthly = {line.part: line.usd for line in month(run, lines, 30, KeptResources(data_gb=100, months_kept=2), TERMS)}
    assert monthly["30 runs"] == pytest.approx(30 * usd_of(lines))
    assert monthly["data on S3, 100.00 GB"] == pytest.approx(2.30)
    assert monthly["logs that are kept, 60.12 GB"] == pytest.approx(60.12 * 0.03)
    assert monthly["images in ECR, 0.20 GB"] == pytest.approx(0.02)


def test_a_load_balancer_brings_a_server_of_the_size_that_is_asked_for():
    run = stated(1, 1.0, 1.0)
    terms = BillingTerms(server_vcpu=1, server_gb=3)
    monthly = {line.part: line.usd for line in month(run, run.bill(terms), 1, KeptResources(load_balancer=True), terms)}
    server = monthly["rendezvous server that always runs, with its address"]
    assert server == pytest.approx(730 * (0.04048 + 3 * 0.004445 + 0.005))
    assert monthly["network load balancer, before traffic"] == pytest.approx(730 * 0.0225)
