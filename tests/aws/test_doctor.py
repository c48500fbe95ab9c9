"""`cosmicai doctor` of a stack on the emulator, which runs no function, so that only the parts can be looked at."""

from tests.aws.conftest import AwsAccount


def test_the_doctor_looks_at_a_stack(account: AwsAccount):
    assert account.deploy("--yes")[0] == 0
    status, said, _ = account.cosmicai("doctor", "--no-connection")
    assert status == 0
    assert [line.split()[0] for line in said.splitlines()] == ["ok"] * 8

    functions, s3 = account.client("lambda"), account.client("s3")
    functions.update_function_code(FunctionName="cosmicai-rank", ImageUri=account.image("lambda", "v2"))
    functions.delete_function(FunctionName="cosmicai-summarize")
    [bucket] = [found["Name"] for found in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=bucket)
    status, said, _ = account.cosmicai("doctor", "--no-connection")
    assert status == 1
    failed = [line for line in said.splitlines() if line.startswith("failed")]
    assert len(failed) == 3
    assert said.count("next: ") >= 3
    assert "there is no function cosmicai-summarize" in failed[0]
    assert f"there is no bucket {bucket}" in failed[1]
    assert "cosmicai-rank runs" in failed[2]
