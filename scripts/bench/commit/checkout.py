"""An earlier commit of this checkout, in a folder of its own, and processes that run its code."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lambda_image.errors import UsageError
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import ROOT

COMMAND_TIMEOUT_S = 600.0  # the longest, a run of many ranks on a busy machine, takes a minute


@contextmanager
def at_commit(commit: str, say: Callable[[str], None]) -> Iterator[Path]:
    """Check an earlier commit out, compile its engine where there is a compiler, and remove both afterwards.

    Args:
        commit: Any name that git knows it by.
        say: Shows a line to people.

    Yields:
        The folder.

    Raises:
        UsageError: Git does not know the commit.
        BenchmarkError: The engine could not be compiled.
    """
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        folder = Path(scratch) / "base"
        done = subprocess.run(
            ["git", "worktree", "add", "--detach", str(folder), commit],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:]
            raise UsageError(f"COMMIT is {commit!r}; git answers: {''.join(reason)}")
        try:
            compile_engine(folder, commit, say)
            yield folder
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=False)  # noqa: S607


def compile_engine(folder: Path, name: str, say: Callable[[str], None]) -> None:
    """Compile the engine of a checkout, where there is a compiler.

    Raises:
        BenchmarkError: It could not be compiled.
    """
    if shutil.which("g++"):
        say(f"compiling the engine of {name}")
        run_python(folder, ["-m", "scripts", "compile"])


def environ_for(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` for a process that runs the code in `folder` with the packages of this one.

    Its bytecode is kept, as the images have it, whatever the user's environment says.
    """
    return {**environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def run_python(folder: Path, arguments: Sequence[str]) -> str:
    """Return what a Python process with the code in `folder` prints.

    Raises:
        BenchmarkError: It failed or took too long. The error has its last line.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environ_for(folder, os.environ),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last_words = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise BenchmarkError(f"{' '.join(arguments)} failed in {folder}: {''.join(last_words)}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{' '.join(arguments)} in {folder} took over {COMMAND_TIMEOUT_S:g} s") from error
    return done.stdout
