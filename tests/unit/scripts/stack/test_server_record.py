import pytest

from scripts.stack.account import AccountError
from scripts.stack.server_record import put_record, remove_record
from tests.unit.scripts.stack.fake_fargate import FakeFargate

NAME = "rendezvous.example.org"


def test_a_name_leads_to_the_addresses_of_both_kinds():
    fargate = FakeFargate()
    put_record(fargate.route53, "Z1", NAME, ["192.0.2.7", "2001:db8::7"])
    assert fargate.records == {(NAME, "A"): ["192.0.2.7"], (NAME, "AAAA"): ["2001:db8::7"]}
    put_record(fargate.route53, "Z1", NAME, ["192.0.2.8"])
    assert fargate.records[NAME, "A"] == ["192.0.2.8"]


def test_only_records_of_the_server_that_goes_are_removed():
    fargate = FakeFargate()
    fargate.records[NAME, "TXT"] = ["192.0.2.7"]
    put_record(fargate.route53, "Z1", NAME, ["192.0.2.7"])
    put_record(fargate.route53, "Z1", f"other.{NAME}", ["192.0.2.7"])
    assert not remove_record(fargate.route53, "Z1", NAME, ["192.0.2.9"])
    assert not remove_record(fargate.route53, "Z1", NAME, [])
    assert remove_record(fargate.route53, "Z1", f"{NAME}.", ["192.0.2.7"])
    assert fargate.records.keys() == {(NAME, "TXT"), (f"other.{NAME}", "A")}


@pytest.mark.parametrize(
    ("zone", "name", "told"),
    [
        ("Z2", NAME, "there is no hosted zone Z2: aws route53 list-hosted-zones"),
        (
            "Z1",
            "rendezvous.example.com",
            r"--name rendezvous\.example\.com does not lie in .* \.example\.org",
        ),
        ("Z1", "rexample.org", "does not lie in the zone"),
    ],
)
def test_a_name_outside_the_zone_is_refused(zone: str, name: str, told: str):
    with pytest.raises(AccountError, match=told):
        put_record(FakeFargate().route53, zone, name, ["192.0.2.7"])
