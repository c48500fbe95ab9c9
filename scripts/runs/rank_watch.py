"""The progress of a run's ranks, seen from outside: by the counts of its map run and by the ranks' result objects."""

import json
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lambda_image.results import is_complete
from scripts.runs.place import Place
from scripts.runs.run_progress import MOST_BARS, RunProgress
from scripts.stack.account import DENIED, code_of

RANK = re.compile(r"(\d+)\.json")
FIRST_LOOK_S = 2.0  # between two looks at first, each of which costs requests
PATIENCE = 0.04  # of what the run has taken, the pause until the next look
LOCAL_LOOK_S = 0.3


class RankWatch:
    """Shows what a run's ranks do, by the same progress as if they had said so themselves."""

    def __init__(
        self, place: Place, execution: str, bucket: str, result_path: str, progress: RunProgress, ranks: int | None
    ) -> None:
        """Makes it without asking anything.

        Args:
            place: where the run takes place.
            execution: its ARN.
            bucket: where its results go.
            result_path: under which prefix.
            progress: shows them.
            ranks: how many ranks it has; None where only the run knows.
        """
        self._place, self._execution, self._progress, self._ranks = place, execution, progress, ranks
        self._bucket, self._prefix = bucket, f"{result_path}/"
        self._steps, self._s3 = place.client("stepfunctions"), place.client("s3")
        self._at_once = 0  # ranks that may work at the same time; 0 for all
        self._due, self._map_run, self._given_up = 0.0, "", False
        self._seen: dict[str, str] = {}  # ETags by names

    def look(self, elapsed_s: float) -> None:
        """Looks at the ranks, unless it has just done so.

        Args:
            elapsed_s: seconds since the following began.
        """
        if self._given_up or elapsed_s < self._due:
            return
        first = FIRST_LOOK_S if self._place.local is None else LOCAL_LOOK_S
        self._due = elapsed_s + max(first, PATIENCE * elapsed_s)
        try:
            counts = self._counts()
            if counts:
                self._ranks = int(counts["total"])
                self._progress.expect(self._ranks)
                begun = self._ranks - int(counts.get("pending", 0))
                self._progress.turn(begun, self._ranks, self._at_once)
            if self._ranks is not None and self._ranks <= MOST_BARS:
                self._objects()
            elif counts:
                self._progress.count(counts)
        except ClientError as error:  # progress is not worth a run
            if code_of(error) in DENIED:
                self._given_up = True
                self._progress.print(f"the progress of the ranks cannot be seen: {error.operation_name} is denied")
        except BotoCoreError:
            pass  # how the run stands is asked next, and tells

    def _counts(self) -> dict[str, int]:
        """The counts of the map run; nothing before there is one."""
        if not self._map_run:
            runs = self._steps.list_map_runs(executionArn=self._execution)["mapRuns"]
            if not runs:
                return {}
            self._map_run = runs[0]["mapRunArn"]
        described = self._steps.describe_map_run(mapRunArn=self._map_run)
        counts: dict[str, int] = described["itemCounts"]
        self._at_once = int(described.get("maxConcurrency") or 0)
        return counts if counts.get("total") else {}

    def _objects(self) -> None:
        """What the ranks have written since the last look."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
        )
        for found in (found for page in pages for found in page.get("Contents", ())):
            name = found["Key"].removeprefix(self._prefix)
            if RANK.fullmatch(name) and self._seen.get(name) != found["ETag"]:
                self._seen[name] = found["ETag"]
                self._show(json.load(self._s3.get_object(Bucket=self._bucket, Key=found["Key"])["Body"]))

    def _show(self, record: dict[str, Any]) -> None:
        if record.get("execution") != self._execution:  # of an earlier run under the same path
            return
        rank = record["rank"]
        if is_complete(record):
            speed = record["sample_persec"]
            done = {"phase": "done", "samples": record["samples"], "samples_per_s": speed}
            self._progress.show({"event": "phase", "rank": rank, **done})
        elif record.get("error"):
            self._progress.show({"event": "failed", "rank": rank, "error": record["error"]})
        else:
            again = f" (attempt {record['attempt'] + 1})" if record.get("attempt") else ""
            self._progress.show({"event": "phase", "rank": rank, "phase": f"at work{again}"})
