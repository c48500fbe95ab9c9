"""The life of the stack, from nothing to nothing, by `cosmicai` on an emulator that executes CloudFormation."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.aws.conftest import INDEX, AwsAccount

# What each service lists, for an inventory of an account. The emulator gives each a default VPC and a log group or two
# of nothing that is ours.
INVENTORY: Mapping[str, Callable[[Any], list[Any]]] = {
    "s3": lambda c: [one["Name"] for one in c.list_buckets()["Buckets"]],
    "lambda": lambda c: c.list_functions()["Functions"],
    "stepfunctions": lambda c: c.list_state_machines()["stateMachines"],
    "iam": lambda c: [one["RoleName"] for one in c.list_roles()["Roles"] if "AWSServiceRole" not in one["RoleName"]],
    "logs": lambda c: [one["logGroupName"] for one in c.describe_log_groups()["logGroups"]],
    "ecs": lambda c: [
        *c.list_clusters()["clusterArns"],
        *c.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
    ],
    "secretsmanager": lambda c: c.list_secrets()["SecretList"],
    "cloudwatch": lambda c: [*c.describe_alarms()["MetricAlarms"], *c.list_dashboards()["DashboardEntries"]],
    "sns": lambda c: c.list_topics()["Topics"],
    "elbv2": lambda c: [*c.describe_load_balancers()["LoadBalancers"], *c.describe_target_groups()["TargetGroups"]],
    "ecr": lambda c: [one["repositoryName"] for one in c.describe_repositories()["repositories"]],
    "ec2": lambda c: [
        *(one["VpcId"] for one in c.describe_vpcs()["Vpcs"] if not one.get("IsDefault")),
        *(one["InternetGatewayId"] for one in c.describe_internet_gateways()["InternetGateways"]),
        *(one["GroupId"] for one in c.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"),
    ],
    "cloudformation": lambda c: c.describe_stacks()["Stacks"],
}  # fmt: skip


def inventory(account: AwsAccount) -> dict[str, list[Any]]:
    found = {service: listed(account.client(service)) for service, listed in INVENTORY.items()}
    return {service: things for service, things in found.items() if things}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_from_nothing_to_nothing(account: AwsAccount):
    before = inventory(account)

    status, said, _ = account.deploy("--dry-run")
    assert status == 0
    assert "what changes in the stack cosmicai:" in said
    assert "USD a month" in said
    assert "cost of a run of 4,096 galaxies by 4 ranks" in said
    assert inventory(account) == before  # not even the empty stack around a change set

    status, said, _ = account.deploy("--yes", "--tag", "team=stars")
    assert status == 0
    assert "made     StateMachine" in said
    assert "the stack cosmicai is up" in said
    outputs = account.cosmicai("deploy", "--status")
    assert outputs[0] == 0
    assert "arn:aws:states:us-east-1" in outputs[1]
    assert "no drift" in outputs[1]
    [stack] = account.client("cloudformation").describe_stacks(StackName="cosmicai")["Stacks"]
    assert {"Key": "team", "Value": "stars"} in stack["Tags"]

    status, said, _ = account.deploy("--yes")
    assert status == 0
    assert "no changes: the stack cosmicai is as it should be" in said

    status, said, _ = account.cosmicai("deploy", *account.images, "--yes", "--parameter", "RankMemory=1769")
    assert status == 0  # Ipv6 keeps the value that it was given before
    assert any(
        line.startswith("change RankFunction (Lambda function):") and "MemorySize" in line for line in lines(said)
    )
    function = account.client("lambda").get_function_configuration(FunctionName="cosmicai-rank")
    assert function["MemorySize"] == 1769
    [stack] = account.client("cloudformation").describe_stacks(StackName="cosmicai")["Stacks"]
    assert {"Key": "team", "Value": "stars"} in stack["Tags"]

    status, said, _ = account.cosmicai("destroy", "--dry-run")
    assert status == 0
    assert "what stays:" in said
    status, said, _ = account.cosmicai("destroy", "--yes")
    assert status == 0
    [bucket] = account.client("s3").list_buckets()["Buckets"]
    assert said.endswith(f"kept: {bucket['Name']}\n")
    account.client("s3").delete_bucket(Bucket=bucket["Name"])
    assert inventory(account) == before


def test_the_images_are_named_by_digest_and_the_key_is_in_no_template(account: AwsAccount):
    account.deploy("--yes")
    lambda_digest = account.put_image("mine/lambda")  # the same again
    code = account.client("lambda").get_function(FunctionName="cosmicai-rank")["Code"]
    assert code["ImageUri"].endswith(f"/mine/lambda@{lambda_digest}")
    task = account.client("ecs").describe_task_definition(taskDefinition="cosmicai-rendezvous")["taskDefinition"]
    [container] = task["containerDefinitions"]
    assert "@sha256:" in container["image"]
    key = account.client("secretsmanager").get_secret_value(SecretId="cosmicai-rendezvous-key")["SecretString"]
    assert len(key) == 43
    environment = account.client("lambda").get_function_configuration(FunctionName="cosmicai-rank")["Environment"]
    assert environment["Variables"] == {"RENDEZVOUS_KEY": key}
    template = account.client("cloudformation").get_template(StackName="cosmicai")["TemplateBody"]
    assert key not in json.dumps(template)
    machine = account.client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    definition = account.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["definition"]
    assert "${" not in definition
    assert ":function:cosmicai-rank" in definition


def test_data_stay_until_they_are_to_go_with_all_their_versions(account: AwsAccount):
    account.deploy("--yes")
    s3 = account.client("s3")
    [bucket] = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="data/1.safetensors", Body=b"first")
    s3.put_object(Bucket=bucket, Key="data/1.safetensors", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="data/1.safetensors")
    s3.create_multipart_upload(Bucket=bucket, Key="data/2.safetensors")
    account.cosmicai("destroy", "--yes")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2

    # AWS keeps the tag that the template gives the bucket, and the emulator drops it.
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "cosmicai-stack", "Value": "cosmicai"}]})
    s3.create_bucket(Bucket="cosmicai-of-somebody-else")
    status, said, _ = account.deploy("--dry-run")
    assert f"--parameter ExistingBucket={bucket} takes it" in said
    status, _, told = account.cosmicai("destroy", "--yes")
    assert status == 1
    assert f"its bucket {bucket} goes with --with-data" in told
    status, said, _ = account.cosmicai("destroy", "--yes", "--with-data")
    assert status == 0
    assert f"removed the bucket {bucket}" in said
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["cosmicai-of-somebody-else"]


def test_a_bucket_that_exists_is_used_and_never_emptied(account: AwsAccount):
    s3 = account.client("s3")
    s3.create_bucket(Bucket="survey")
    s3.put_object(Bucket="survey", Key="1.pt", Body=b"galaxies")
    assert account.deploy("--yes", "--parameter", "ExistingBucket=survey")[0] == 0
    assert "survey" in account.cosmicai("deploy", "--status")[1]
    status, said, _ = account.cosmicai("destroy", "--yes", "--with-data")
    assert status == 0
    assert "survey" in said.split("what stays:")[1]
    assert s3.get_object(Bucket="survey", Key="1.pt")["Body"].read() == b"galaxies"


def test_two_teams_share_an_account(account: AwsAccount):
    assert account.deploy("--yes", "--stack", "stars")[0] == 0
    assert account.deploy("--yes", "--stack", "planets")[0] == 0
    assert account.cosmicai("destroy", "--yes", "--with-data", "--stack", "stars")[0] == 0
    names = {function["FunctionName"] for function in account.client("lambda").list_functions()["Functions"]}
    assert names == {"planets-init", "planets-rank", "planets-summarize"}
    assert account.deploy("--yes", "--stack", "planets")[1].count("no changes") == 1


def test_with_a_load_balancer_both_ports_lead_to_one_server(account: AwsAccount):
    zone = account.client("route53").create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]
    flags = [*balanced(zone.rpartition("/")[2]), "--parameter", "AlarmEmail=stars@example.org"]
    status, said, _ = account.deploy("--yes", *flags)
    assert status == 0
    assert "network load balancer" in said
    [service] = account.client("ecs").describe_services(cluster="cosmicai", services=["cosmicai-rendezvous"])[
        "services"
    ]
    assert sorted(target["containerPort"] for target in service["loadBalancers"]) == [10000, 10001]
    balancing = account.client("elbv2")
    for group in balancing.describe_target_groups()["TargetGroups"]:
        attributes = balancing.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])["Attributes"]
        assert {"Key": "preserve_client_ip.enabled", "Value": "true"} in attributes
    assert "rendezvous.example.org:10000" in account.cosmicai("deploy", "--status")[1]
    variables = account.client("lambda").get_function_configuration(FunctionName="cosmicai-init")["Environment"]
    assert variables["Variables"]["RENDEZVOUS_ENDPOINT"] == "rendezvous.example.org:10000"
    assert account.cosmicai("destroy", "--yes", "--with-data")[0] == 0


def test_what_was_changed_by_hand_is_told(account: AwsAccount):
    account.deploy("--yes")
    account.client("lambda").update_function_configuration(FunctionName="cosmicai-rank", MemorySize=512)
    account.client("logs").delete_log_group(logGroupName="/aws/lambda/cosmicai-init")
    status, said, _ = account.cosmicai("deploy", "--status")
    assert status == 1
    assert "RankFunction (cosmicai-rank) /MemorySize is 512, and the template has 3008" in said
    assert "InitLogs (/aws/lambda/cosmicai-init) was removed" in said


def balanced(zone: str) -> list[str]:
    """The flags for a load balancer with a name in a zone."""
    given = {"WithLoadBalancer": "true", "HostedZoneId": zone, "RendezvousName": "rendezvous.example.org"}
    return [word for name, value in given.items() for word in ("--parameter", f"{name}={value}")]


def test_a_name_that_is_taken_is_told_and_what_was_left_is_cleared(account: AwsAccount):
    dns = account.client("route53")
    zone = dns.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
    record = {"Name": "rendezvous.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}

    def change(action: str) -> None:
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    change("CREATE")
    status, said, told = account.deploy("--yes", *balanced(zone))
    assert status == 1
    assert "failed   RendezvousRecord" in said
    assert told.count("\n") == 1
    assert "ended as ROLLBACK_COMPLETE, since RendezvousRecord (AWS::Route53::RecordSet) failed: " in told
    assert told.endswith("Next: remove what has that name, or give another --stack\n")
    status, _, told = account.deploy("--dry-run")
    assert status == 1
    assert "could not be made; without --dry-run it is removed" in told
    change("DELETE")
    status, said, _ = account.deploy("--yes", *balanced(zone))
    assert status == 0
    assert "the stack cosmicai is ROLLBACK_COMPLETE, so it is removed first" in said
    assert len(account.client("s3").list_buckets()["Buckets"]) == 1  # the stack that failed has left none


def test_an_update_that_fails_leaves_the_stack_as_it_was(account: AwsAccount):
    account.deploy("--yes")
    status, _, told = account.deploy("--yes", "--parameter", "RankMemory=512", *balanced("Z000"))
    assert status == 1
    assert "ended as UPDATE_ROLLBACK_COMPLETE, since RendezvousRecord" in told
    assert account.client("lambda").get_function_configuration(FunctionName="cosmicai-rank")["MemorySize"] == 3008
    assert account.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert account.deploy("--yes")[1].count("no changes") == 1


REFUSED = [
    (["--parameter", "RankMemory=100000"], "RankMemory"),
    (["--parameter", "HostedZoneId=Z1"], "it needs WithLoadBalancer=true"),
    (["--parameter", "VpcId=vpc-1"], "VpcId needs RendezvousSubnets"),
    (["--parameter", "FunctionSubnets=subnet-1"], "FunctionSubnets need FunctionSecurityGroups"),
    (["--parameter", "RolePath=x"], "a path that begins and ends with /"),
    (
        ["--parameter", "ExistingBucket=none-here"],
        "there is no bucket none-here: create it, or leave ExistingBucket out",
    ),
    (["--parameter", "ReservedConcurrency=10000"], "ask for more in Service Quotas"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_a_wrong_value_is_one_line_and_makes_nothing(account: AwsAccount, given: list[str], words: str):
    before = inventory(account)
    status, _, told = account.deploy("--yes", *given)
    assert status == 1
    assert words in told
    assert told.count("\n") == 1
    assert inventory(account) == before


def test_images_that_lambda_refuses_are_refused_at_once(account: AwsAccount):
    account.put_image("mine/lambda", INDEX, "index")
    status, _, told = account.cosmicai(
        "deploy", "--yes", *account.images[2:], "--image", account.image("lambda", "index")
    )
    assert status == 1
    assert "is an index of images, which Lambda refuses" in told
    status, _, told = account.cosmicai(
        "deploy", "--yes", *account.images[2:], "--image", account.image("lambda", "none")
    )
    assert (status, told.count("\n")) == (1, 1)
    assert "is not in ECR: push it, or leave the flag out to build it" in told


def test_what_runs_is_stopped_before_its_stack_goes(account: AwsAccount):
    account.deploy("--yes")
    [machine] = account.client("stepfunctions").list_state_machines()["stateMachines"]
    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    states = account.client("stepfunctions")
    states.update_state_machine(stateMachineArn=machine["stateMachineArn"], definition=json.dumps(waiting))
    run = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    status, said, _ = account.cosmicai("destroy", "--yes", "--with-data")
    assert status == 0
    assert "stopped 1 run" in said
    assert run


def test_a_stack_that_is_not_there_is_told_with_the_region(account: AwsAccount):
    for command in (["destroy", "--yes"], ["deploy", "--status"]):
        status, _, told = account.cosmicai(*command, "--region", "eu-west-1")
        assert (status, told.count("\n")) == (1, 1)
        assert "there is no stack cosmicai in eu-west-1" in told


def test_accounts_of_the_emulator_are_told_apart(account: AwsAccount):
    """The inventories above would show what other tests have left, or nothing."""
    account.client("s3").create_bucket(Bucket="of-one-account")
    assert inventory(account)["s3"] == ["of-one-account"]
    assert account.emulator.client("300000000999", "s3").list_buckets()["Buckets"] == []
