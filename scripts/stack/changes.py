"""A change set in plain words: what is made, changed, replaced and removed, and what may lose data."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

# What is lost with a resource that holds something.
HOLDS = {
    "AWS::S3::Bucket": "its data",
    "AWS::Logs::LogGroup": "its logs",
    "AWS::ECR::Repository": "its images",
    "AWS::SecretsManager::Secret": "the key of the rendezvous server",
}
LINE = 100  # characters
VERBS = {"Modify": "change", "Remove": "remove", "Import": "import", "Dynamic": "change"}


def described(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Describes the changes of a change set, dangerous ones first. What is made new shares lines at the end.

    Args:
        changes: as DescribeChangeSet lists them.
    """
    every = [change["ResourceChange"] for change in changes]
    lines = [line for _, line in sorted((_rank(one), _line(one)) for one in every if one["Action"] != "Add")]
    if new := sorted(one["LogicalResourceId"] for one in every if one["Action"] == "Add"):
        lines += textwrap.wrap(f"make {', '.join(new)}", LINE, subsequent_indent="     ", break_on_hyphens=False)
    return lines


def losses(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names the resources whose content a change set deletes, or may delete."""
    return [
        f"{change['LogicalResourceId']} {_how_surely(change, 'loses', 'may lose')} {HOLDS[change['ResourceType']]}"
        for change in (change["ResourceChange"] for change in changes)
        if _loses(change)
    ]


def _replaces(change: Mapping[str, Any]) -> bool:
    return change["Action"] == "Modify" and change.get("Replacement") in ("True", "Conditional")


def _how_surely(change: Mapping[str, Any], surely: str, perhaps: str) -> str:
    return perhaps if change.get("Replacement") == "Conditional" else surely


def _loses(change: Mapping[str, Any]) -> bool:
    if change["ResourceType"] not in HOLDS or not (_replaces(change) or change["Action"] == "Remove"):
        return False
    # CloudFormation says what its policies do with what is there. Where it does not, data is what a bucket keeps.
    policy = str(change.get("PolicyAction") or ("Retain" if change["ResourceType"] == "AWS::S3::Bucket" else "Delete"))
    return "Retain" not in policy


def _rank(change: Mapping[str, Any]) -> int:
    order = (_loses(change), _replaces(change), change["Action"] == "Remove", change["Action"] == "Modify", True)
    return order.index(True)


def _line(change: Mapping[str, Any]) -> str:
    verb = _how_surely(change, "replace", "may replace") if _replaces(change) else VERBS[change["Action"]]
    what = f"{verb} {change['LogicalResourceId']} ({_kind(change['ResourceType'])})"
    if properties := _properties(change):
        what += f": {', '.join(properties)}"
    if _loses(change):
        what += f". This {_how_surely(change, 'loses', 'may lose')} {HOLDS[change['ResourceType']]}"
    elif change["ResourceType"] in HOLDS and (_replaces(change) or change["Action"] == "Remove"):
        what += ". What it holds stays"
    return what


def _properties(change: Mapping[str, Any]) -> list[str]:
    if change["Action"] != "Modify":
        return []
    targets = [detail.get("Target", {}) for detail in change.get("Details", ())]
    names = [target.get("Name") or target.get("Attribute") or "" for target in targets]
    return sorted({name for name in names if name})


def _kind(resource_type: str) -> str:
    """The last two words of a type, as in `Lambda function`."""
    service, name = resource_type.split("::")[1:]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return f"{service} {words}"
