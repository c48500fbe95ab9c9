"""Commands whose every kind of request is refused once, because AWS asks to slow down: they only take longer."""

import json
from pathlib import Path

import pytest

from scripts.cli import main
from tests.integration.system import System, write_galaxies
from tests.integration.throttling import throttling

pytestmark = pytest.mark.timeout(240)


def test_a_run_from_its_upload_to_its_logs(system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, out = write_galaxies(tmp_path / "slow", 2, 4), tmp_path / "out"
    with throttling(system.cloud.endpoint_url) as proxy:
        place = ["--endpoint-url", proxy.endpoint_url]
        assert main(["upload", str(data), "--json", str(tmp_path / "upload.json"), *place]) == 0
        given = ["--data-prefix", "datasets/slow", "--name", "slowed", "--world-size", "2"]
        assert main(["invoke", *given, "--out", str(out), "--json", str(tmp_path / "invoke.json"), *place]) == 0
        watched = ["--json", str(tmp_path / "watch.json"), *place]
        assert main(["watch", "slowed", "--out", str(tmp_path / "again"), *watched]) == 0
        assert main(["logs", "slowed", "--json", str(tmp_path / "logs.json"), *place]) == 0
        assert main(["doctor", "--no-connection", *place]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["samples"], summary["status"]) == (8, "succeeded")
    assert json.loads((tmp_path / "again" / "summary.json").read_text()) == summary
    uploaded, invoked, seen = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("upload", "invoke", "watch")
    )
    assert (uploaded["files"], uploaded["galaxies"], uploaded["input"]["data_prefix"]) == (2, 8, "datasets/slow")
    assert invoked.pop("results") == str(out)
    assert seen.pop("results").startswith("s3://")
    assert invoked == seen
    assert (seen["status"], seen["summary"]) == ("SUCCEEDED", summary)
    told = capsys.readouterr()
    assert "ThrottlingException" not in told.err
    assert {"S3 PUT", "S3 GET", "S3 HEAD", "AWSStepFunctions.StartExecution", "AWSStepFunctions.DescribeExecution"} <= {
        *proxy.refused
    }
    assert any(kind.startswith("Logs_") for kind in proxy.refused)
    assert any(kind.startswith("Lambda GET") for kind in proxy.refused)
