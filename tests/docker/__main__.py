"""`python -m tests.docker --tries 5`, with the images built: their cold starts as a table."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

from tests.docker.cold_start import IMAGES, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.docker", allow_abbrev=False, description=__doc__)
    parser.add_argument("--tries", type=int, default=5, help="containers of each kind (default 5)")
    parser.add_argument("--image", nargs="+", default=IMAGES, help=f"of the Lambda (default {' '.join(IMAGES)})")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in table(Path(folder), args.tries, args.image):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
