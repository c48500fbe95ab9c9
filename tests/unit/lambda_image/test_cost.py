import pytest

from lambda_image.cost import SHIPPED, Billed, BillingTerms, BillLine, bill, cost, rounded_up, usd_of


def test_a_run_priced_by_hand():
    result = cost([Billed(10, 2048, puts=1000, gets=1000)] * 4, ranks=4, wall_s=3600, with_rendezvous=True)
    assert result.lambda_usd == pytest.approx(4 * 10 * 2 * 0.0000166667 + 4 * 0.0000002)
    assert result.step_functions_usd == pytest.approx((5 + 2 * 4) * 0.000025)
    assert result.s3_usd == pytest.approx(4 * (0.005 + 0.0004))
    assert result.rendezvous_usd == pytest.approx(0.25 * 0.04048 + 0.5 * 0.004445 + 0.005)
    parts = (result.lambda_usd, result.step_functions_usd, result.s3_usd, result.rendezvous_usd)
    assert result.total_usd == pytest.approx(sum(parts))


def test_arm_is_cheaper_and_a_run_without_sockets_needs_no_server():
    run = {"invocations": [Billed(10, 1024)], "ranks": 1, "wall_s": 10, "with_rendezvous": False}
    assert cost(**run).rendezvous_usd == 0
    assert cost(**run, architecture="arm64").lambda_usd < cost(**run).lambda_usd


def line(lines: list[BillLine], part: str) -> BillLine:
    return next(line for line in lines if line.part == part)


def test_times_are_billed_by_whole_units_and_float_noise_is_none():
    assert [rounded_up(seconds, 1) for seconds in (0.0, 0.001, 0.0011, 6.55, 0.1 + 0.2)] == [0, 0.001, 0.002, 6.55, 0.3]
    assert rounded_up(0.101, 100) == pytest.approx(0.2)


def test_a_bill_has_a_line_for_each_part():
    ranks = [Billed(10.0001, 2048, 3, 1, start_s=1.0, waiting_s=2.0, storage_mb=1024)] * 4
    lines = bill(ranks, [Billed(1.0, 1024)], 4, 3600, BillingTerms(server_vcpu=1, server_gb=3, log_kb=2))
    assert line(lines, "ranks starting").quantity == pytest.approx(4 * 2 * 1)
    assert line(lines, "ranks waiting in the gather").quantity == pytest.approx(4 * 2 * 2)
    assert line(lines, "ranks working").quantity == pytest.approx(4 * 2 * 7.001)
    assert line(lines, "Init and Summarize").quantity == pytest.approx(1)
    assert line(lines, "requests").usd == pytest.approx(5 * 0.2e-6)
    assert line(lines, "disk (/tmp) beyond 512 MB").usd == pytest.approx(4 * 10.001 * 0.5 * 3.09e-8)
    assert line(lines, "transitions of the ranks").quantity == 8
    assert line(lines, "PUT and LIST requests").usd == pytest.approx(12 * 5e-6)
    assert usd_of(lines, "rendezvous server") == pytest.approx(0.04048 + 3 * 0.004445 + 0.005)
    assert line(lines, "taken in by CloudWatch").usd == pytest.approx(5 * 2e-6 * 0.5)
    assert usd_of(lines) == pytest.approx(sum(one.usd for one in lines))


def test_express_children_are_billed_by_requests_and_duration():
    lines = bill([Billed(10.01, 1024)] * 3, [], 3, 0.0, BillingTerms(express=True))
    assert line(lines, "transitions of the ranks").quantity == 3
    assert line(lines, "Express requests").usd == pytest.approx(3e-6)
    assert line(lines, "Express duration").usd == pytest.approx(3 * 10.1 / 16 * 1.667e-5)


def test_without_a_wall_time_the_server_is_unknown_and_not_in_the_total():
    result = cost([Billed(10, 1024)], ranks=1, wall_s=None, with_rendezvous=True)
    assert result.rendezvous_usd is None
    assert result.total_usd == pytest.approx(result.lambda_usd + result.step_functions_usd + result.s3_usd)


def test_a_price_may_depend_on_the_architecture():
    assert SHIPPED.of("lambda_gb_second", "arm64") < SHIPPED.of("lambda_gb_second")
    assert SHIPPED.of("s3_put", "arm64") == SHIPPED.of("s3_put")
