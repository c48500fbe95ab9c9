from typing import Any

import pytest

from lambda_image.errors import UsageError
from scripts.aws_endpoint import AwsEndpoint
from scripts.runs.place import Place
from scripts.runs.rendezvous import rendezvous_for


def at(standing: str | None = None, local: bool = False) -> Place:
    endpoint = AwsEndpoint("http://127.0.0.1:1") if local else None
    return Place("m", lambda service: None, "us-east-1", "arn:m", "b", rendezvous=standing, local=endpoint)


@pytest.mark.parametrize(
    ("place", "given", "flag", "keys", "says"),
    [
        (at(), {}, None, {}, True),
        (at("nlb:10000"), {}, None, {"rendezvous_endpoint": "nlb:10000"}, False),
        (at(local=True), {}, None, {}, False),  # Init knows the one beside it
        (at("nlb:10000"), {"rendezvous_endpoint": "mine:1"}, None, {}, False),
        (at("nlb:10000"), {"fmi_enabled": False}, None, {}, False),
        (at("nlb:10000"), {}, "here:10000", {"rendezvous_endpoint": "here:10000"}, False),
        (at("nlb:10000"), {}, "none", {"fmi_enabled": False, "rendezvous_endpoint": None}, False),
    ],
)
def test_the_flag_counts_before_the_input_and_the_input_before_the_stack(
    place: Place, given: dict[str, Any], flag: str | None, keys: dict[str, Any], says: bool
):
    choice = rendezvous_for(place, given, flag)
    assert (choice.keys, "gather by way of S3" in choice.sentence) == (keys, says)


def test_a_server_is_sought_where_nobody_names_one_and_started_where_it_is_asked_for():
    assert rendezvous_for(at(), {}, None)[2:] == (True, False)
    assert rendezvous_for(at("nlb:10000"), {}, None).sought is False
    assert rendezvous_for(at("nlb:10000"), {}, "start")[2:] == (True, True)
    with pytest.raises(UsageError, match="--rendezvous start is for AWS"):
        rendezvous_for(at(local=True), {}, "start")


def test_what_is_no_address_is_refused():
    with pytest.raises(UsageError, match=r"--rendezvous is here; allowed: host:port, .*, start or none"):
        rendezvous_for(at(), {}, "here")
