"""The images, and why there are none where they cannot be had."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_LIMIT_S = 900.0  # all of it from nothing takes 200 s on two cores
MUST_BE_BUILT = "IMAGES_MUST_BE_BUILT"  # a variable that .ci/run sets where it has made everything ready
REASON_LENGTH = 200


def engine_missing(limit_s: float = 30.0) -> str | None:
    """Return why no engine of Docker can be used, or None where one answers within `limit_s` seconds."""
    for check in (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"]):
        try:
            subprocess.run(check, capture_output=True, text=True, timeout=limit_s, check=True)
        except FileNotFoundError:
            return "there is no docker command"
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(getattr(error, "stderr", "")).strip() or str(error)
            return f"`{' '.join(check)}`: {said.splitlines()[0]}"
    return None


def build() -> str | None:
    """Build what is not built, which takes seconds where the cache has it, and return why that failed, if it did."""
    for target, services in (("full", []), ("slim", ["rank"]), ("onnx", ["rank"])):
        environ = {**os.environ, "LAMBDA_TARGET": target}
        command = ["docker", "compose", "build", *services]
        built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
        if built.returncode:
            return f"the images cannot be built: {_reason(built.stdout + built.stderr)}"
    return None


def _reason(output: str) -> str:
    """The last line of the step that failed, which BuildKit repeats between dashes, or the last line of all."""
    step = re.search(r"^-{6}\n > \[([^]]*)\].*\n((?:.*\n)*?)-{6}\n", output, re.MULTILINE)
    stage, lines = (f"{step[1]}: ", step[2]) if step else ("", output)
    last = (lines.strip().splitlines() or ["no output"])[-1]
    return textwrap.shorten(stage + re.sub(r"^[\d.]+ ", "", last), REASON_LENGTH)
