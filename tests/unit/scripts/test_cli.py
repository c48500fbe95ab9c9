import subprocess
import sys

import pytest

from scripts.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: cosmicai {command}" in " ".join(capsys.readouterr().out.split())


def test_a_users_mistake_is_one_line_and_a_status(tmp_path, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", str(tmp_path / "x.pt"), "--count", "0"]) == 1
    assert capsys.readouterr().err == "cosmicai: InvalidEvent: --count is 0; allowed: a whole number from 1\n"
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_sample_writes_a_dataset(tmp_path, capsys: pytest.CaptureFixture[str], suffix: str):
    from lambda_image.partition import read_partition

    assert main(["sample", str(tmp_path / f"x.{suffix}"), "--count", "5"]) == 0
    assert "5 galaxies" in capsys.readouterr().out
    partition = read_partition(tmp_path / f"x.{suffix}")
    assert (len(partition), partition.redshifts is not None) == (5, True)


def test_the_module_is_the_command():
    answer = subprocess.run([sys.executable, "-m", "scripts", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in answer.stdout
