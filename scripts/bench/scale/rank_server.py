"""A server in the place of S3 for one rank: it keeps what the rank writes, in files.

python -m scripts.bench.scale.rank_server '{"folder": "/tmp/x"}'
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.scale.run_server import RunHandler
from scripts.bench.scale.stand_in import StandInObjects, serve


class WrittenObjects(StandInObjects):
    """What a rank has written, and nothing else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "gets", "puts", "lists", "heads", "out_bytes", "in_bytes")

    def find(self, key: str) -> bytes | None:
        """The content of an object."""
        file = self.file(key)
        return file.read_bytes() if file.exists() else None

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Nothing, as the rank's first attempt lists nothing."""
        del prefix
        return iter(())


if __name__ == "__main__":
    kept = WrittenObjects(Path(json.loads(sys.argv[1])["folder"]))
    serve(kept, type("Handler", (RunHandler,), {"objects": kept}))
