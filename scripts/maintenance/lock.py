"""`make lock` resolves the exact versions, with hashes, that the images install, from pyproject.toml.

For the images' Python on Linux, amd64 and arm64 alike. PyTorch itself has a file of its own, requirements/torch.txt,
which is kept by hand: its CPU build is published on an index of PyTorch's own, which lists the hashes.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
PYTHON = "3.11"  # Debian bookworm's
PLATFORM = "x86_64-manylinux_2_28"  # chooses versions; the hashes are those of all platforms' files
ALONE = ("onnx",)  # ONNX Runtime needs numpy, which ranks have, and its tools need more, which no rank calls
HEADER = "# Made by `make lock` from pyproject.toml.\n"


def main() -> int:
    for name, needs in requirements(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))).items():
        file = FOLDER / f"{name}.txt"
        resolve(needs, file, alone=name in ALONE)
        locked = file.read_text(encoding="utf-8")
        file.write_text(HEADER + locked, encoding="utf-8")
        print(f"requirements/{name}.txt: {locked.count('==')} packages")
    return 0


def requirements(project: dict[str, dict[str, dict[str, list[str]]]]) -> dict[str, list[str]]:
    """Lists what each file is to hold, by the file's name."""
    ranks: list[str] = project["project"]["dependencies"]  # type: ignore[assignment]
    extras = project["project"]["optional-dependencies"]
    return {
        "lambda": _without(ranks, "torch"),
        "onnx": extras["onnx"],
        "rendezvous": extras["server"],
        "local": _without([*ranks, *extras["local"]], "torch", "awslambdaric", "cosmicai"),
    }


def resolve(needs: list[str], file: Path, alone: bool = False) -> None:
    """Resolves `needs` into `file`, with or without what they need in turn.

    Versions that it has stay as long as they fit. Delete it to take the newest.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--generate-hashes"]
    command += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--output-file", str(file), "-"]
    command += ["--no-deps"] if alone else []
    subprocess.run(command, input="\n".join(needs), text=True, stdout=subprocess.DEVNULL, check=True)


def _without(needs: list[str], *names: str) -> list[str]:
    return [need for need in needs if _name(need) not in names]


def _name(need: str) -> str:
    found = re.match(r"[\w.-]+", need)
    assert found, f"{need} names no package"
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
