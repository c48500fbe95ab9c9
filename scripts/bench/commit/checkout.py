"""An earlier commit of this checkout, in a folder of its own, and processes that run its code."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lambda_image.errors import UsageError
from scripts.bench.processes import ROOT, run_python


@contextmanager
def at_commit(commit: str, say: Callable[[str], None], *, engine: bool = True) -> Iterator[Path]:
    """Check an earlier commit out, compile its engine where there is a compiler, and remove both afterwards.

    Args:
        commit: Any name that git knows it by.
        say: Shows a line to people.
        engine: Whether its engine is compiled.

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
            if engine:
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
        run_in(folder, "compile")


def environ_for(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` for a process that runs the code in `folder` with the packages of this one.

    Its bytecode is kept, as the images have it, whatever the user's environment says.
    """
    return {**environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def run_in(folder: Path, *arguments: str) -> None:
    """Run a command of the checkout in `folder`. Raises BenchmarkError where it fails."""
    run_python(["-m", "scripts", *arguments], folder, environ_for(folder, os.environ))
