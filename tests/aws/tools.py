"""The tools that judge the stack, each in an environment of its own under .venv/aws, and an emulator of AWS."""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv" / "aws"
START_S = 60.0
REGION = "us-east-1"
NO_PLACE = {
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def tool(name: str, program: str) -> Path:
    """A program of a tool; skips the test where it is not installed."""
    folder = TOOLS / name / ("node_modules/.bin" if name == "node" else "bin")
    if not (folder / program).exists():
        pytest.skip(f"{program} is not here: make .venv/aws/ready installs it")
    return folder / program


def answer(command: Sequence[object], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """What a program said."""
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, cwd=ROOT)


class Emulator:
    """ministack, which executes CloudFormation. Each account number is an account of its own, and empty at first."""

    def __init__(self, url: str) -> None:
        self.url = url

    def environ(self, account: str) -> dict[str, str]:
        """The variables by which `cosmicai` and boto3 find an account of it, and no other."""
        keys = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "emulated", "AWS_REGION": REGION}
        return {"AWS_ENDPOINT_URL": self.url, **keys, **NO_PLACE, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def client(self, account: str, service: str) -> Any:
        import boto3  # late: every session of tests reads this file

        make_client: Any = boto3.client
        return make_client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key="emulated",
        )


@contextmanager
def emulator(log: Path) -> Iterator[Emulator]:
    """ministack on a free port of loopback; its own command would listen on all addresses."""
    program = tool("ministack", "hypercorn")
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(program), "ministack.app:app", "--bind", "127.0.0.1:0"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(log.parent),
                "TMPDIR": str(log.parent),
                "DOCKER_HOST": "tcp://127.0.0.1:9",
            },
            cwd=log.parent,
        )
    try:
        yield Emulator(_url(process, log))
    finally:
        process.terminate()
        process.wait(10)


def _url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"ministack did not start: {log.read_text()[-2000:]}")
