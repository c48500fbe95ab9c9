"""The name of a rendezvous server in a zone of Route 53."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import AccountError, code_of

TTL_S = 30  # a server that is started anew has another address


def put_record(client: Any, zone: str, name: str, addresses: Sequence[str]) -> None:
    """Lets a name lead to addresses, and to no others.

    Args:
        client: of Route 53.
        zone: the id of the hosted zone.
        name: the name, which must lie in the zone.
        addresses: IPv4 or IPv6.

    Raises:
        AccountError: there is no such zone, or the name does not lie in it.
    """
    check_zone(client, zone, name)
    _change(client, zone, [_change_of("UPSERT", name, kind, values) for kind, values in _by_kind(addresses).items()])


def check_zone(client: Any, zone: str, name: str) -> None:
    """Makes sure that a name can have records in a zone.

    Raises:
        AccountError: it cannot.
    """
    try:
        domain = str(client.get_hosted_zone(Id=zone)["HostedZone"]["Name"]).rstrip(".")
    except ClientError as error:
        if code_of(error) not in ("NoSuchHostedZone", "InvalidInput"):
            raise
        raise AccountError(f"there is no hosted zone {zone}: aws route53 list-hosted-zones lists them") from error
    if name.rstrip(".") != domain and not name.rstrip(".").endswith(f".{domain}"):
        raise AccountError(f"--name {name} does not lie in the zone {zone}: it must end in .{domain}")


def remove_record(client: Any, zone: str, name: str, addresses: Sequence[str]) -> bool:
    """Removes the records of a name that lead to some of these addresses. Those of a later server stay.

    Returns:
        Whether there were any.
    """
    pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    found = [record for page in pages for record in page["ResourceRecordSets"]]
    ours = [
        record
        for record in found
        if record["Name"].rstrip(".") == name.rstrip(".")
        and record["Type"] in ("A", "AAAA")
        and {one["Value"] for one in record.get("ResourceRecords", ())} & set(addresses)
    ]
    if ours:
        _change(client, zone, [{"Action": "DELETE", "ResourceRecordSet": record} for record in ours])
    return bool(ours)


def _change(client: Any, zone: str, changes: Sequence[dict[str, Any]]) -> None:
    client.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Comment": "rendezvous server of cosmicai", "Changes": changes}
    )


def _by_kind(addresses: Sequence[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for address in addresses:
        kinds.setdefault("AAAA" if ":" in address else "A", []).append(address)
    return kinds


def _change_of(action: str, name: str, kind: str, values: Sequence[str]) -> dict[str, Any]:
    records = [{"Value": value} for value in values]
    return {
        "Action": action,
        "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": TTL_S, "ResourceRecords": records},
    }
