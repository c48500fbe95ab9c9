"""`cosmicai doctor` on the local endpoint: two real workers, real servers at two addresses of loopback."""

import json
from pathlib import Path

from scripts.cli import main
from tests.integration.system import System


def test_two_workers_tell_how_they_reach_each_other(system: System, tmp_path: Path, capsys) -> None:
    file = tmp_path / "doctor.json"
    words = ["doctor", "--endpoint-url", system.cloud.endpoint_url, "--json", str(file), "--megabytes", "32"]
    # So much that it is not slow though the machine stands still for seconds meanwhile.
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "ok       connection       direct, " in said
    written = json.loads(file.read_text())
    states = {finding["name"]: finding["state"] for finding in written["findings"]}
    assert "failed" not in states.values()
    assert states["NAT"] == states["server from here"] == states["function rank"] == "ok"
    first, second = written["functions"]
    assert [first["rank"], second["rank"]] == [0, 1]
    for answer in (first, second):
        assert answer["mapping"] == answer["link"]["nat"] == "none"
        assert answer["link"]["received_mb_s"] > 0
        assert len({one["local"] for one in answer["servers"]}) == 1
        assert len({one["server"].rpartition(":")[0] for one in answer["servers"]}) == 2


def test_runs_take_place_as_before_afterwards(system: System, galaxies: str) -> None:
    assert main(["doctor", "--endpoint-url", system.cloud.endpoint_url, "--megabytes", "1"]) == 0
    assert system.run(data_prefix=galaxies, world_size=2)["status"] == "SUCCEEDED"


def test_a_server_that_is_not_there_is_found_out_and_told(system: System, capsys) -> None:
    words = ["doctor", "--endpoint-url", system.cloud.endpoint_url, "--rendezvous", "127.0.0.1:9"]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "note     server from here 127.0.0.1:9 does not answer: Connection refused" in said
    assert "failed   server from there 127.0.0.1:9 does not answer rank 0: Connection refused" in said
    assert said.count("next: ") >= 3
