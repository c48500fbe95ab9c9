"""The records of runs from files and folders: combined ones, single ranks' ones, and those of a local inference."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable
from scripts.catalogue.run_source import is_hidden
from scripts.user_files import check_there
from scripts.words import counted

TIME, MEMORY, RATE = "total_cpu_time (seconds)", "total_cpu_memory (MB)", "throughput_bps"
NEEDED = (TIME, MEMORY, RATE)
S3 = ("s3_total_time", "s3_avg_time", "s3_min_time", "s3_max_time")
NUMBERS = (
    *(TIME, MEMORY, "total_process_memory (MB)", "library_overhead_memory (MB)", "total_image_memory (MB)"),
    *("total_model_memory (MB)", "execution_time (seconds/batch)", "num_batches", "batch_size"),
    *(RATE, "sample_persec", "s3_num_requests", *S3),
)
EXPECTED = (*NUMBERS, "device", "result_path", "data_path")
# The same under the keys of the published Results.json, which a local inference writes.
ALIASES = {
    "total cpu time (second)": TIME,
    "total cpu time (seconds)": TIME,
    "execution time per batch (second)": "execution_time (seconds/batch)",
    "cpu memory (MB)": MEMORY,
    "throughput(bps)": RATE,
    "batch size": "batch_size",
    "number of batches": "num_batches",
}
COMBINED, LIKE_COMBINED = "combined_data.json", "*combined_data*.json"
RANK_FILE = re.compile(r"\d+\.json")
PARTITION_MB, DATA_GB = (re.compile(rf"(?:^|[^\d.])(\d+(?:\.\d+)?) ?{unit}(?![a-zA-Z])") for unit in ("MB", "GB"))
RUN = re.compile(r"(?:^|/)(?:run ?)?(\d+)$")
PUBLISHED_GB = 12.6  # of all data, which paths call `total`
TOTAL = re.compile(r"(?:^|/)total(?=/|$)", re.IGNORECASE)


@dataclass(frozen=True)
class RecordedRun:
    """The records of one run, and what their paths say of it. A number that no path tells is None."""

    place: str
    records: Sequence[Mapping[str, Any]]
    name: str
    partition_mb: float | None = None
    data_gb: float | None = None

    @property
    def batch_size(self) -> float | None:
        """That of its records, where they agree."""
        sizes = set(self.values("batch_size"))
        return sizes.pop() if len(sizes) == 1 else None

    def values(self, key: str) -> list[float]:
        """The numbers under a key, of the records that have one."""
        return [float(record[key]) for record in self.records if is_number(record.get(key))]


def read_runs(paths: Iterable[Path]) -> tuple[list[RecordedRun], list[str]]:
    """Reads the records of runs.

    Args:
        paths: files of records, and folders that hold such files or folders of them.

    Returns:
        The runs, and what their records lack.

    Raises:
        UsageError: there is nothing at a path.
        InvalidEvent: a file holds no records.
    """
    runs: list[RecordedRun] = []
    notes: list[str] = []
    for group in _groups(paths):
        found = [record for file in group for record in _records(file)]
        place = group[0] if len(group) == 1 else group[0].parent
        records = [record for record in found if not _only_claimed(record)]
        if unfinished := len(found) - len(records):
            notes.append(f"{printable(place)}: {counted(unfinished, 'rank')} of {len(found):,} left no result")
        if not records:
            notes.append(f"{printable(place)} is left out, as it has no record of a rank that had galaxies")
            continue
        runs.append(_labelled(place, records))
        notes += _lacking(place, records)
    return runs, notes


def _groups(paths: Iterable[Path]) -> list[list[Path]]:
    """The files of each run: a combined one alone, single ranks' ones of one folder together."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        check_there("", path, "files of records, folders of them, or runs in out/", folders=True)
        files = _below(path) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{printable(path)} holds no records: no {COMBINED}, and no file such as 0.json")
        for file in files:
            alone = RANK_FILE.fullmatch(file.name)
            found = groups.setdefault(file.parent if alone else file, [])
            if file not in found:
                found.append(file)
    return list(groups.values())


def _below(folder: Path) -> list[Path]:
    """The files of records in a folder and its folders. Where there is a combined one, no others are read."""
    found = []
    within = [path for path in folder.rglob("*") if path.is_dir()]
    seen = [path for path in within if not any(is_hidden(Path(part)) for part in path.relative_to(folder).parts)]
    for place in sorted([folder, *seen], key=_natural):
        if (place / COMBINED).is_file():
            found.append(place / COMBINED)
        elif like := sorted(place.glob(LIKE_COMBINED), key=_natural):
            found += like
        else:
            found += sorted((file for file in place.glob("*.json") if RANK_FILE.fullmatch(file.name)), key=_natural)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", str(path))]


def _records(file: Path) -> list[dict[str, Any]]:
    try:
        content = parse_json(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"{printable(file)} is not JSON: {error}") from error
    found = content if isinstance(content, list) else [content]
    for number, record in enumerate(found):
        measured = isinstance(record, dict) and any(ALIASES.get(key, key) in NEEDED for key in record)
        if not measured and not _only_claimed(record):
            where = f"{printable(file)}, record {number}" if isinstance(content, list) else printable(file)
            raise InvalidEvent(f"{where} is no record of a rank: it has none of {', '.join(NEEDED)}")
    return [{ALIASES.get(key, key): value for key, value in record.items()} for record in found]


def _only_claimed(record: object) -> bool:
    """Whether it is what a rank writes when it begins, and of one that never came further."""
    return isinstance(record, dict) and {"execution", "attempt"} <= record.keys() and not set(NEEDED) & record.keys()


def _labelled(place: Path, records: Sequence[Mapping[str, Any]]) -> RecordedRun:
    """What is told of a run by the path of its results, else by that of its data, else by that of its file."""
    first = records[0]
    given = [first.get("result_path"), first.get("data_path")]
    texts = [text.strip("/") for text in given if isinstance(text, str)]
    texts.append(str(place.parent if place.name == COMBINED else place))
    path = texts[0] if isinstance(given[0], str) else texts[-1]
    run = RUN.search(path)
    gb = _number(DATA_GB, texts)
    if gb is None and any(TOTAL.search(text) for text in texts):
        gb = PUBLISHED_GB
    return RecordedRun(
        place=printable(place),
        records=records,
        name=run[1] if run else path.rpartition("/")[2],
        partition_mb=_number(PARTITION_MB, texts),
        data_gb=gb,
    )


def _number(pattern: re.Pattern[str], texts: Sequence[str]) -> float | None:
    return next((float(match[1]) for text in texts if (match := pattern.search(text))), None)


def is_number(value: object) -> bool:
    """Tells whether a value is a finite number, which neither a text nor true is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _lacking(place: Path, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A note for the keys that records lack, and one for those whose values are no numbers."""
    absent = Counter(key for record in records for key in EXPECTED if key not in record)
    wrong = Counter(key for record in records for key in NUMBERS if key in record and not is_number(record[key]))
    notes = []
    for counts, what in ((absent, "lack"), (wrong, "have no number under")):
        for count in sorted(set(counts.values()), reverse=True):
            keys = ", ".join(key for key in EXPECTED if counts[key] == count)
            verb = what if count > 1 else {"lack": "lacks"}.get(what, "has no number under")
            notes.append(f"{printable(place)}: {counted(count, 'record')} of {len(records):,} {verb} {keys}")
    return notes
