"""`python -m tests.fuzz [--seconds 60] [TARGET ...]`: searches for bytes that a parser does not bear.

Coverage guides the search where Atheris is installed (the extra `fuzz`, on Linux). The corpus is changed at random
elsewhere. What is found lies in out/fuzz/TARGET. It belongs into tests/fuzz/corpus/TARGET, which every run of the tests
replays.
"""

import argparse
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS, FOUND = Path(__file__).parent / "corpus", Path("out/fuzz")
INPUT_LIMIT_S = 5  # for one input: all of the corpus takes less than a second together
MEMORY_MB = 2048
INSTRUMENTED = ("rendezvous_server", "lambda_image", "statemachine", "scripts")
REIMPORTED = (*INSTRUMENTED, "tests.fuzz.", "tests.unit.")
LONGEST = 65_536  # bytes of an input


def main() -> int:
    """Searches, and returns 1 where something was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", allow_abbrev=False, description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"which parsers: {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together (default: %(default)s)")
    if sys.argv[1:2] == ["--one"]:  # the process that `survives` starts
        return search(sys.argv[2], sys.argv[3:])
    args = parser.parse_args()
    if unknown := set(args.targets) - TARGETS.keys():
        parser.error(f"no parser {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    names = args.targets or list(TARGETS)
    broken = [name for name in names if not survives(name, max(1, args.seconds // len(names)))]
    print(
        f"{len(names) - len(broken)} of {len(names)} parsers bore it" + (f", not: {' '.join(broken)}" if broken else "")
    )
    return 1 if broken else 0


def survives(name: str, seconds: int) -> bool:
    """Searches in a process of its own, which may hang, grow or die."""
    found = FOUND / name
    (found / "corpus").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, str(found / "corpus"), str(CORPUS / name)]
    command += [f"-max_total_time={seconds}", f"-timeout={INPUT_LIMIT_S}", f"-rss_limit_mb={MEMORY_MB}"]
    command += [f"-max_len={LONGEST}", f"-artifact_prefix={found}/", "-verbosity=0", "-print_final_stats=1"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=seconds + 60)
    runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(
        f"{name}: {'sound' if done.returncode == 0 else 'BROKEN'} after {runs[0] if runs else '?'} inputs", flush=True
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
    return done.returncode == 0


def search(name: str, flags: list[str]) -> int:
    """One target until the time is over or something is found."""
    if find_spec("atheris") is None:
        return search_blindly(name, flags)
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        for module in [module for module in sys.modules if module.startswith(REIMPORTED)]:
            del sys.modules[module]  # imported above, without counters
        targets = import_module("tests.fuzz.targets")
    atheris.Setup([sys.argv[0], *flags], targets.TARGETS[name])
    atheris.Fuzz()
    return 0


def search_blindly(name: str, flags: list[str]) -> int:
    """The corpus with bytes changed at random places, which is what can be done without knowing what they reach."""
    import random
    import time

    seconds = next(int(flag.split("=")[1]) for flag in flags if flag.startswith("-max_total_time="))
    known = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    draw, end, count = random.Random(0), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = bytearray(draw.choice(known))
        for _ in range(draw.randint(1, 8)):
            at = draw.randrange(len(data) + 1)
            data[at : at + draw.randint(0, 4)] = draw.randbytes(draw.randint(0, 4))
        TARGETS[name](bytes(data))
        count += 1
    print(f"stat::number_of_executed_units: {count}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
