import pytest

from lambda_image.cost import Billed, cost


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
