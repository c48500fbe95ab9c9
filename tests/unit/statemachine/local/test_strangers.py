import pytest

from statemachine.local.strangers import refusal


@pytest.mark.parametrize(
    "host",
    [
        "localhost:4566",
        "127.0.0.1:4566",
        "[::1]:4566",
        "192.168.1.2:4566",
        "endpoint:4566",
        "my-bucket.localhost:4566",
        "host.docker.internal:4566",
        "LOCALHOST",
        "",
    ],
)
def test_clients_of_this_machine_and_of_containers_are_answered(host: str) -> None:
    assert refusal({"Host": host}) is None
    assert refusal({"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}) is None


@pytest.mark.parametrize("host", ["evil.example:4566", "localhost.evil.example:4566", "127.0.0.1.nip.io:4566"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    reason = refusal({"Host": host, "Origin": f"http://{host}"})
    assert reason is not None
    assert host.partition(":")[0] in reason
    assert refusal({"Host": host}, own_name=host.partition(":")[0]) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},  # another program's page
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    reason = refusal({"Host": "localhost:4566", **headers})
    assert reason is not None
    assert "\n" not in reason
