"""Where the times of a run come from: its results, the log of its functions, or what somebody states."""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_image.cost import Billed
from lambda_image.errors import InvalidEvent
from lambda_image.partition_names import printable
from lambda_image.results import is_complete
from lambda_image.summary import beside_the_ranks, billed
from scripts.billing.measured import MeasuredRun, RankTimes
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.catalogue.run_tables import read_tables
from scripts.stack.costs import GETS_PER_PARTITION, PUTS_PER_RANK
from scripts.words import counted

NEEDED_COLUMNS = ("billed_ms", "memory_mb")
PEAK_COLUMNS = ("peak_mb", "max_memory_mb")  # ours, and what CloudWatch calls it
BESIDE_MB = 1024  # memory of Init and Summarize, as deployed
TABLES_PER_RESULT = 2  # a rank's own, and that of the run


def of_results(source: ResultSource) -> MeasuredRun:
    """Takes the times of a run from its results.

    Args:
        source: where they are.

    Raises:
        InvalidEvent: no rank has left a record.
    """
    manifest = read_json(source, "manifest.json") or []
    records = [record for item in manifest if (record := _record(source, item)) is not None]
    if not records:
        raise InvalidEvent(f"{source.place} holds no records of ranks, which have the times that are billed")
    summary = read_json(source, "summary.json") or {}
    notes = []
    if missing := len(manifest) - len(records):
        notes.append(
            f"{counted(missing, 'rank')} of {len(manifest):,} left no record, and what they cost is not counted"
        )
    if again := sum(record["attempt"] for record in records):
        notes.append(f"{counted(again, 'attempt')} that failed left no times, and what they cost is not counted")
    return of_records(records, len(manifest), summary, bool(manifest[0].get("fmi_enabled")), _rows(source), notes)


def of_records(
    records: Sequence[Mapping[str, Any]],
    ranks: int,
    summary: Mapping[str, Any],
    with_rendezvous: bool,
    rows: Counter[str] | None = None,
    notes: Sequence[str] = (),
) -> MeasuredRun:
    """Takes the times of a run from the records of its ranks.

    Args:
        records: those that there are, of one rank at least.
        ranks: how many ranks the run had.
        summary: the content of `summary.json`, or nothing.
        with_rendezvous: whether it used a rendezvous server.
        rows: how many rows each partition has, where that is known.
        notes: what is to be told of it.
    """
    return MeasuredRun(
        name=str(records[0]["run_id"]),
        times=[_times(record, rows or Counter()) for record in records],
        ranks=ranks,
        others=beside_the_ranks(ranks, BESIDE_MB),
        wall_s=summary.get("wall_s"),
        with_rendezvous=with_rendezvous,
        result_gb=sum(map(_kept_bytes, records)) / 1e9,
        data_gb=sum(record["s3"]["bytes_in"] for record in records) / 1e9,
        notes=notes,
        architecture=records[0].get("architecture"),
    )


def _kept_bytes(record: Mapping[str, Any]) -> int:
    """What a rank's tables take on S3. Its distributions are not put together with those of others."""
    distributions = record.get("distributions") or {"bytes": 0}
    return TABLES_PER_RESULT * int(record["predictions"]["bytes"]) + int(distributions["bytes"])


def _record(source: ResultSource, item: Mapping[str, Any]) -> dict[str, Any] | None:
    record = read_json(source, f"{item['rank']}.json")
    if not is_complete(record) or record.get("execution") != item.get("execution"):
        return None
    return dict(record)


def _rows(source: ResultSource) -> Counter[str]:
    """How many rows each partition has; none where there are no predictions."""
    counts: Counter[str] = Counter()
    for batch in read_tables(source):
        counts.update(batch["source"].to_pylist())
    return counts


def _times(record: Mapping[str, Any], rows: Counter[str]) -> RankTimes:
    one, phases = billed(dict(record)), record["phases"]
    parts = record["partitions"]
    known = phases["download_s"] + phases["inference_s"] + one.start_s + one.waiting_s
    shared = {part["key"]: (rows[part["key"]] if part["rows"] is None else _cut(part["rows"])) for part in parts}
    return RankTimes(
        memory_mb=one.memory_mb,
        inference_s=phases["inference_s"],
        start_s=one.start_s,
        read_s=phases["download_s"],
        waiting_s=one.waiting_s,
        other_s=one.seconds - known,
        puts=one.puts,
        gets=one.gets,
        rank=record["rank"],
        rows=shared,
    )


def _cut(rows: list[int]) -> int:
    return rows[1] - rows[0]


def stated(
    requests: int, seconds: float, memory_gb: float, start_s: float = 0.0, wall_s: float | None = None
) -> MeasuredRun:
    """Makes a run of ranks that are alike.

    Args:
        requests: how many ranks there are.
        seconds: of each, with its start.
        memory_gb: of each, in GB of 1,024 MB.
        start_s: of the seconds, the cold start.
        wall_s: of the run; without it, as long as a rank.
    """
    one = RankTimes(memory_gb * 1024, seconds - start_s, start_s=start_s, puts=PUTS_PER_RANK, gets=GETS_PER_PARTITION)
    return MeasuredRun(
        name=f"{counted(requests, 'rank')} of {seconds:g} s with {memory_gb:g} GB",
        times=[one] * requests,
        ranks=requests,
        others=beside_the_ranks(requests, BESIDE_MB),
        wall_s=seconds if wall_s is None else wall_s,
    )


def of_log(file: Path, wall_s: float | None = None) -> MeasuredRun:
    """Takes the times of a run from the billed durations in a log of its functions.

    Rows without a rank are invocations of Init or Summarize. Where no row has one, all are ranks.

    Args:
        file: the CSV that `cosmicai logs --csv` writes. Of its columns, `billed_ms` and `memory_mb` are needed.
        wall_s: how long the run took, in seconds; None where that is not known.

    Raises:
        InvalidEvent: it is no such file.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            columns, rows = reader.fieldnames or (), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidEvent(f"{printable(file)} is not a CSV file: {error}") from error
    if missing := [name for name in NEEDED_COLUMNS if name not in columns]:
        raise InvalidEvent(
            f"{printable(file)} has no column {missing[0]}: its columns are {', '.join(columns) or 'none'}"
        )
    if not rows:
        raise InvalidEvent(f"{printable(file)} has no rows: no function has ended")
    named = any(row.get("rank") for row in rows)
    times, others = [], []
    numbered = list(enumerate(rows, start=2))
    for line, row in numbered:
        one = _logged(file, line, row)
        if named and one.rank is None:
            others.append(Billed(one.seconds, one.memory_mb, start_s=one.start_s))
        else:
            times.append(one)
    used = [_number(file, line, row, name) for line, row in numbered for name in PEAK_COLUMNS if row.get(name)]
    notes = ["a log does not tell requests to S3, nor what ranks waited in the gather, which counts as work"]
    if used:
        notes.append(f"ranks used up to {max(used):,.0f} MB of {max(one.memory_mb for one in times):,.0f} MB")
    return MeasuredRun(
        name=printable(file),
        times=times,
        ranks=len({one.rank for one in times}) if named else len(times),
        others=others,
        wall_s=wall_s,
        notes=notes,
    )


def _logged(file: Path, line: int, row: Mapping[str, Any]) -> RankTimes:
    seconds = _number(file, line, row, "billed_ms") / 1000
    if row.get("billed_restore_ms"):
        seconds += _number(file, line, row, "billed_restore_ms") / 1000
    # Where the start is not billed, it may be longer than what is.
    start_s = min(seconds, _number(file, line, row, "init_ms") / 1000) if row.get("init_ms") else 0.0
    rank = row.get("rank")
    if rank and not str(rank).isdecimal():
        raise InvalidEvent(f"{printable(file)}, line {line}: rank is {rank!r}; allowed: a whole number, or nothing")
    memory_mb = _number(file, line, row, "memory_mb")
    return RankTimes(memory_mb, seconds - start_s, start_s=start_s, rank=int(rank) if rank else None)


def _number(file: Path, line: int, row: Mapping[str, Any], name: str) -> float:
    text = row.get(name) or ""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise InvalidEvent(f"{printable(file)}, line {line}: {name} is {text!r}; allowed: a number from 0")
    return found
