from typing import Any

from scripts.stack.changes import described, losses


def change(action: str, name: str, kind: str, **more: Any) -> dict[str, Any]:
    resource = {"Action": action, "LogicalResourceId": name, "ResourceType": f"AWS::{kind}", **more}
    return {"Type": "Resource", "ResourceChange": resource}


def property_of(name: str) -> dict[str, Any]:
    return {"Target": {"Attribute": "Properties", "Name": name}}


def test_dangerous_changes_come_first_and_what_is_new_shares_a_line():
    changes = [
        change("Add", "B", "SNS::Topic"),
        change("Add", "A", "SNS::Topic"),
        change("Modify", "Rank", "Lambda::Function", Replacement="False", Details=[property_of("MemorySize")]),
        change("Remove", "Old", "SNS::Topic"),
        change("Modify", "Network", "EC2::VPC", Replacement="True", Details=[property_of("CidrBlock")]),
        change("Modify", "Logs", "Logs::LogGroup", Replacement="True", Details=[property_of("LogGroupName")]),
    ]
    assert described(changes) == [
        "replace Logs (Logs log group): LogGroupName. This loses its logs",
        "replace Network (EC2 vpc): CidrBlock",
        "remove Old (SNS topic)",
        "change Rank (Lambda function): MemorySize",
        "make A, B",
    ]
    assert losses(changes) == ["Logs loses its logs"]


def test_a_replacement_that_may_not_happen_is_told_as_such():
    changes = [change("Modify", "Logs", "Logs::LogGroup", Replacement="Conditional")]
    assert described(changes) == ["may replace Logs (Logs log group). This may lose its logs"]
    assert losses(changes) == ["Logs may lose its logs"]


def test_a_bucket_keeps_its_data_unless_aws_says_that_it_goes():
    kept = change("Remove", "Bucket", "S3::Bucket", PolicyAction="Retain")
    assert described([kept]) == ["remove Bucket (S3 bucket). What it holds stays"]
    assert losses([kept, change("Remove", "Bucket", "S3::Bucket")]) == []
    assert losses([change("Remove", "Bucket", "S3::Bucket", PolicyAction="Delete")]) == ["Bucket loses its data"]
    assert losses([change("Modify", "Bucket", "S3::Bucket", Replacement="True", PolicyAction="ReplaceAndRetain")]) == []


def test_many_new_things_are_wrapped():
    lines = described([change("Add", f"Resource{number}", "SNS::Topic") for number in range(20)])
    assert len(lines) > 1
    assert all(len(line) <= 100 for line in lines)
