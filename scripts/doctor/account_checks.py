"""The parts of an place: functions, quotas, bucket, and whether they are of one version."""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

from botocore.exceptions import ClientError

from scripts.doctor.findings import Finding, each
from scripts.runs.place import Place
from scripts.stack.account import DENIED, code_of
from scripts.stack.change_set import Stack

USUAL_CONCURRENCY = 1000  # of accounts that have been used for a while
MIN_CONCURRENCY = 10  # with which small runs work


def check_functions(place: Place) -> list[Finding]:
    """Looks whether each function can be invoked, and by what it is limited."""
    found = []
    for function, name in place.functions.items():
        found.append(_function(place.client("lambda"), function, name))
    return found


def _function(client: Any, function: str, name: str) -> Finding:
    label = f"function {function}"
    try:
        about = client.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        return Finding(label, "failed", f"there is no function {name}", "cosmicai deploy makes it anew")
    state, update = about.get("State", "Active"), about.get("LastUpdateStatus", "Successful")
    size = f"{about['MemorySize']} MB, {about['Timeout']} s, {about.get('Architectures', ['x86_64'])[0]}"
    why = about.get("StateReason") or about.get("LastUpdateStatusReason") or ""
    if state == "Inactive":
        step = "nothing: the first run waits until it has woken, which takes a minute"
        return Finding(label, "note", f"{name} is asleep, since it was idle for weeks ({size})", step)
    if state == "Pending" or update == "InProgress":
        return Finding(label, "note", f"{name} is being made ready ({size}) {why}".strip(), "wait a minute")
    if state == "Failed" or update == "Failed":
        step = "mend that, and run cosmicai deploy"
        return Finding(label, "failed", f"{name} is not usable: {why or 'AWS gives no reason'}", step)
    if about.get("VpcConfig", {}).get("SubnetIds"):
        what = f"{name} is active ({size}), and in a VPC, where ranks open no direct sockets: all parts are relayed"
        return Finding(label, "note", what, "leave FunctionSubnets out, unless the data are reached from a VPC only")
    return Finding(label, "ok", f"{name} is active ({size})")


def check_quotas(place: Place) -> Finding:
    """Looks how many ranks the account runs at a time."""
    label = "quotas"
    if place.local is not None:
        return Finding(label, "skipped", "a local endpoint has as many ranks at a time as it has workers")
    client = place.client("lambda")
    try:
        concurrent = int(client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        what = "how many functions run at a time is unknown, since lambda:GetAccountSettings is denied"
        return Finding(label, "note", what, "ask for the permission")
    if concurrent <= MIN_CONCURRENCY:
        step = "ask for more Concurrent executions in Service Quotas, or make runs of few ranks"
        return Finding(label, "note", f"{concurrent} functions at a time; ranks beyond that wait", step)
    more = "" if concurrent >= USUAL_CONCURRENCY else f" (most accounts have {USUAL_CONCURRENCY:,})"
    return Finding(label, "ok", f"{concurrent:,} functions at a time; ranks beyond that wait{more}")


def check_bucket(place: Place) -> Finding:
    """Looks whether the bucket of the stack is there, in the stack's region."""
    label, name = "bucket", place.bucket
    if place.local is not None:
        return Finding(label, "skipped", "a local endpoint makes buckets when they are needed")
    if name is None:
        return Finding(label, "skipped", "the name of the bucket is denied to you, with the stack")
    try:
        head = place.client("s3").head_bucket(Bucket=name)
    except ClientError as error:
        code = code_of(error)
        if code in ("404", "NoSuchBucket"):
            step = "make it anew with this name, or deploy with --parameter ExistingBucket=NAME"
            return Finding(label, "failed", f"there is no bucket {name}", step)
        if code not in ("403", *DENIED):
            raise
        step = "ask for s3:ListBucket; the functions have permissions of their own"
        return Finding(label, "note", f"{name} is there, and its content is denied to you", step)
    region = head.get("BucketRegion") or place.region
    if region != place.region:
        step = "deploy to that region, or with a bucket of this one: transfers between regions cost"
        return Finding(label, "failed", f"{name} is in {region}, and the functions in {place.region}", step)
    return Finding(label, "ok", f"{name}, in {region}")


def check_versions(place: Place) -> list[Finding]:
    """Looks whether image, stack and this checkout are of one version."""
    if place.local is not None:
        return [Finding("versions", "skipped", "a local endpoint runs what is in the checkout or in its images")]
    if place.stack is None:
        return [Finding("versions", "skipped", "the stack is denied to you")]
    return each(_differences(place), "versions", f"checkout, stack and image are {metadata.version('cosmicai')}")


def _differences(place: Place) -> Iterator[Finding]:
    here, there = metadata.version("cosmicai"), place.outputs.get("Version", "unknown")
    if here != there:
        what = f"the stack is of version {there}, and this checkout of {here}"
        yield Finding("versions", "note", what, "cosmicai deploy brings the stack to this version")
    assert place.stack is not None
    client = place.client("lambda")
    wanted = Stack(place.client("cloudformation"), place.stack).parameters().get("LambdaImage")
    for name in place.functions.values():
        try:
            code = client.get_function(FunctionName=name)["Code"]
        except ClientError as error:
            if code_of(error) not in (*DENIED, "ResourceNotFoundException"):
                raise
            continue
        runs = code.get("ImageUri")
        if wanted and runs and runs != wanted:
            what = f"{name} runs {runs}, and the stack says {wanted}"
            yield Finding("versions", "failed", what, "cosmicai deploy --status shows what was changed by hand")
