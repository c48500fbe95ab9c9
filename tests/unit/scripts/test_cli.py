import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cli import COMMANDS, ENDING, ended_in_order, main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: cosmicai {command}" in " ".join(capsys.readouterr().out.split())


# A value that no flag and no argument of each command may have, with the word that names the place. `bench` is missing,
# since its benchmarks have flags of their own, which their own tests try.
WRONG = [
    ("plan", "cosmicai plan needs the results of a run, or --check"),
    ("clean nothing-of-that-name --out a.pt", "nothing-of-that-name does not exist"),
    ("join nothing-of-that-name --out a.pt", "nothing-of-that-name does not exist"),
    ("compare nothing-of-that-name", "nothing-of-that-name does not exist"),
    ("cost nothing-of-that-name", "nothing-of-that-name does not exist: name the folder of a run"),
    ("demo --world-size 0", "--world-size is 0; allowed: a whole number from 1 to 128"),
    ("demo --world-size 20000", "--world-size is 20000; allowed"),
    ("demo --batch-size 0", "--batch-size is 0; allowed"),
    ("demo --wrold-size 4", "cosmicai demo has no --wrold-size: did you mean --world-size?"),
    ("demo --world-size many", "--world-size is 'many'; allowed: a whole number"),
    ("demo --on-bad-row drop", "--on-bad-row is 'drop'; allowed: flag, skip, fail"),
    ("demo --out", "--out needs a value: `cosmicai demo --help`"),
    ("demo galaxies.pt", "cosmicai demo takes no 'galaxies.pt'"),
    ("split", "cosmicai split needs dataset, --out"),
    ("split file.pt --uot parts", "cosmicai split has no --uot: did you mean --out?"),
    ("demo --data nowhere.pt", "--data nowhere.pt does not exist"),
    ("demo --data folder", "--data folder is a folder that holds no datasets"),
    ("demo --out file.pt", "--out"),
    ("demo --out folder", "--out"),
    ("invoke --endpoint-url http://127.0.0.1:9 --world-size -1", "--world-size is -1; allowed"),
    ("invoke --endpoint-url http://127.0.0.1:99999", "--endpoint-url is http://127.0.0.1:99999; allowed"),
    ("sweep --world-size 0", "--world-size is 0; allowed: a whole number from 1"),
    ("completion tcl", "SHELL is 'tcl'; allowed: bash, zsh, fish"),
    ("report nowhere", "nowhere does not exist: name the folder of a run, or a run that is in out/"),
    ("results nowhere", "nowhere does not exist here, and cannot be fetched: "),
    ("results folder", "folder holds no results of a run: no manifest.json"),
    ("results file.pt", "file.pt is no file of predictions"),
    ("results s3://bucket/results", "s3://bucket/results is on S3"),
    ("results folder --catalogue file.csv", "--catalogue needs --out"),
    ("results folder --out out.csv --only-matched", "--only-matched needs --catalogue"),
    ("results folder --out out.csv --prefix 9", "--prefix is '9'; allowed"),
    ("deploy --stack Stars", "--stack is Stars; allowed"),
    ("deploy --parameter RankMemory", "--parameter is RankMemory; allowed: NAME=VALUE"),
    ("deploy --parameter Memory=1", "--parameter Memory: the stack has no such parameter"),
    ("deploy --tag team", "--tag is team; allowed: NAME=VALUE"),
    ("deploy --yes --profile nobody-has-this", "--profile is nobody-has-this"),
    ("destroy --stack 1", "--stack is 1; allowed"),
    ("invoke --stack 1", "--stack is 1; allowed"),
    ("invoke --name a/b", "--name is 'a/b'; allowed: letters"),
    ("invoke --set x", "--set is 'x'; allowed: KEY=VALUE"),
    ("upload file.pt --size-mb 0", "--size-mb is 0; allowed"),
    ("upload nowhere.pt", "nowhere.pt does not exist"),
    ("watch mine --endpoint-url x", "--endpoint-url is x; allowed"),
    ("destroy --yes --profile nobody-has-this", "--profile is nobody-has-this"),
    ("logs", "which logs are meant? Give the ID of an execution, or --file EXPORT"),
    ("logs run-1 --stack Stars", "--stack is Stars; allowed"),
    ("logs run-1 --endpoint-url nowhere", "--endpoint-url is nowhere; allowed"),
    ("logs run-1 --profile nobody-has-this", "--profile is nobody-has-this"),
    ("logs --file file.pt --csv nowhere/out", "--csv nowhere/out would be in a folder that does not exist"),
    ("doctor --megabytes 100", "--megabytes is 100; allowed: 1 to 64"),
    ("doctor --profile nobody-has-this", "--profile is nobody-has-this"),
    ("rendezvous", "cosmicai rendezvous needs action"),
    ("rendezvous up --stack Stars", "--stack is Stars; allowed"),
    ("rendezvous up --hosted-zone Z1", "--hosted-zone and --name go together"),
    ("sample out.pt --count 0", "--count is 0; allowed"),
    ("sample out.pt --seed -1", "--seed is -1; allowed"),
    ("sample out", "out must end in .pt or .safetensors"),
    ("sample file.pt", "file.pt exists"),
    ("sample nowhere/out.pt", "nowhere/out.pt would be in a folder that does not exist"),
    ("import file.pt", "--out is missing"),
    ("import file.pt --out folder", "--out"),
    ("import file.pt --out out --rows 0", "--rows is 0; allowed"),
    ("import file.pt --out out --size-mib nan", "--size-mib is nan; allowed"),
    ("import file.pt --out out --pixel-scale -1", "--pixel-scale is -1; allowed"),
    ("import file.pt --out out --unit parsec", "the unit 'parsec' is not known; allowed: nanomaggy"),
    ("split file.pt --out out --size-mb 0", "--size-mb is 0; allowed"),
    ("split folder --out out", "folder is a folder"),
    ("split file.pt --out folder", "--out"),
    ("split file.pt --out nowhere/out", "--out"),
    ("convert file.pt out.pt", "out.pt must end in .safetensors"),
    ("convert same.safetensors same.safetensors", "same.safetensors is the checkpoint itself"),
    ("calibrate --data nowhere.pt", "--data nowhere.pt does not exist"),
    ("calibrate --data file.pt --folds 1", "--folds is 1; allowed"),
    ("evaluate nowhere.pt", "nowhere.pt does not exist"),
    ("evaluate file.pt --bins 0", "--bins is 0; allowed"),
    ("infer nowhere.pt", "nowhere.pt does not exist"),
    ("infer file.pt --shard 4/4", "--shard is '4/4'; allowed"),
    ("infer file.pt --plot out.pdf", "--plot out.pdf: its name must end in"),
    ("compile --tolerance 0", "--tolerance is 0.0; allowed"),
    ("compile --device cuda --int8", "--int8"),
    ("tune --rounds 0", "--rounds is 0; allowed"),
    ("tune --threads 0", "--threads is '0'; allowed"),
    ("tune --batch-sizes 8,many", "--batch-sizes is '8,many'; allowed"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_a_wrong_flag_is_one_line_without_a_class_name_and_status_2(tmp_path, monkeypatch, capsys, line, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").touch()
    for name in ("file.pt", "same.safetensors"):
        (tmp_path / name).touch()
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert told.err.startswith("cosmicai: ")
    assert told.err.removeprefix("cosmicai: ").startswith(words)
    assert (told.err.count("\n"), told.out) == (1, "")
    assert "UsageError" not in told.err
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file.pt", "same.safetensors"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dmo", "COMMAND is 'dmo'; allowed: demo, .*; did you mean demo?"),
        ("--wat", "cosmicai has no --wat: `cosmicai --help` shows what there is"),
        ("bench", "cosmicai bench needs BENCHMARK"),
        ("bench inferense", "BENCHMARK is 'inferense'; .* did you mean inference?"),
        ("bench comm --quik", "cosmicai bench comm has no --quik: did you mean --quick?"),
        ("bench inference --threads=x", "--threads is 'x'; allowed: a whole number"),
    ],
)
def test_what_is_no_command_is_one_line_too(line: str, words: str, capsys: pytest.CaptureFixture[str]):
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert re.match(f"cosmicai: {words}".replace("?", r"\?"), told.err)
    assert (told.err.count("\n"), told.out) == (1, "")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("bench", "completion")])
def test_a_flag_that_is_nearly_one_is_answered_by_that_one(command: str, capsys: pytest.CaptureFixture[str]):
    """Of every flag of every command, whatever its letters are."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    flags = re.findall(r"--[a-z][a-z0-9-]+", usage)
    assert flags
    for flag in flags:
        wrong = f"{flag[:-2]}{flag[-1]}{flag[-2]}"
        if len(flag) > len("--abcd") or wrong == flag:  # of a short word there would be too little left
            wrong += "x"
        assert main([command, wrong]) == 2
        assert f"did you mean {flag}?" in capsys.readouterr().err


def test_every_command_has_a_wrong_flag():
    assert {line.split()[0] for line, _ in WRONG} == set(COMMANDS) - {"bench"}


def test_a_bad_file_is_named_with_status_1_and_without_the_class_of_its_error(tmp_path, capsys):
    (tmp_path / "galaxies.pt").write_bytes(b"no galaxies")
    assert main(["split", str(tmp_path / "galaxies.pt"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith(f"cosmicai: {tmp_path / 'galaxies.pt'}: ")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "bench"])
def test_no_flag_is_taken_for_another(command: str, capsys: pytest.CaptureFixture[str]):
    """As argparse takes --ou for --out. Nor is --quota answered by --out, which has three of its letters."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    flags = re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out.partition("\n\n")[0])
    for word in {flag[:-1] for flag in flags} - {*flags, "--"}:
        assert main([command, word]) == 2
        assert f"has no {word}: " in capsys.readouterr().err
    assert main([command, "--quota"]) == 2
    assert "did you mean --out" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_sample_writes_a_dataset(tmp_path, capsys: pytest.CaptureFixture[str], suffix: str):
    from lambda_image.data.partition import read_partition

    assert main(["sample", str(tmp_path / f"x.{suffix}"), "--count", "5"]) == 0
    assert "5 galaxies" in capsys.readouterr().out
    partition = read_partition(tmp_path / f"x.{suffix}")
    assert (len(partition), partition.redshifts is not None) == (5, True)


@pytest.mark.parametrize("out", [".", "galaxies.npz", "galaxies"])
def test_a_dataset_is_named_by_its_format(out: str, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", out, "--count", "1"]) == 2
    assert "must end in .pt or .safetensors" in capsys.readouterr().err


def test_an_error_of_the_system_is_one_line_with_its_file(tmp_path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / ("x" * 300 + ".pt")  # longer than a file's name may be
    assert main(["sample", str(file), "--count", "1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"cosmicai: {tmp_path}")
    assert told.endswith("name too long\n")
    assert told.count("\n") == 1


def test_no_command_is_a_question(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_quiet_says_nothing_but_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "galaxies.safetensors"
    assert main(["sample", str(file), "--count", "3", "--quiet"]) == 0
    assert file.exists()
    assert capsys.readouterr() == ("", "")
    assert main(["sample", str(file), "--count", "3", "--quiet"]) != 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "galaxies.safetensors" in told.err


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
