import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.cli import COMMANDS, ENDING, ended_in_order, main


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
    from lambda_image.data.partition import read_partition

    assert main(["sample", str(tmp_path / f"x.{suffix}"), "--count", "5"]) == 0
    assert "5 galaxies" in capsys.readouterr().out
    partition = read_partition(tmp_path / f"x.{suffix}")
    assert (len(partition), partition.redshifts is not None) == (5, True)


def test_the_module_is_the_command():
    answer = subprocess.run([sys.executable, "-m", "scripts", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in answer.stdout


@pytest.mark.parametrize("out", [".", "galaxies.npz", "galaxies"])
def test_a_dataset_is_named_by_its_format(out: str, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", out, "--count", "1"]) == 1
    assert "must end in .pt or .safetensors" in capsys.readouterr().err


def test_a_seed_is_not_negative(tmp_path, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", str(tmp_path / "x.pt"), "--count", "1", "--seed", "-1"]) == 1
    assert "--seed is -1" in capsys.readouterr().err


def test_an_error_of_the_system_is_one_line_with_its_file(tmp_path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / ("x" * 300 + ".pt")  # longer than a file's name may be
    assert main(["sample", str(file), "--count", "1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("cosmicai: OSError: ")
    assert told.count("\n") == 1
    assert f"{tmp_path}" in told


def test_no_command_is_a_question(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("cosmicai ")


@pytest.mark.parametrize("command", ["demo", "sample", "split"])
def test_help_tells_no_default_where_there_is_none(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "None" not in capsys.readouterr().out


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Gives signals their default handlers back, of which `nohup` and shell scripts ignore some."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("number", ENDING)
def test_a_signal_unwinds_what_is_running_and_is_then_as_before(number: signal.Signals):
    unwound = []

    def work() -> None:
        with ended_in_order():
            try:
                signal.raise_signal(number)
            finally:
                unwound.append(number)

    with pytest.raises(SystemExit) as ended:
        work()
    assert ended.value.code == 128 + number
    assert unwound == [number]
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.usefixtures("default_signals")
def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_in_order():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
