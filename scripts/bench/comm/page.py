"""docs/communicator.md's tables, written from the figures of `cosmicai bench comm --json`.

    python -m scripts.bench.comm.page comm.json docs/communicator.md

What stands between two lines `<!-- figures NAME -->` and `<!-- end -->` of the document is replaced.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import log2
from pathlib import Path
from statistics import fmean, median
from textwrap import fill
from typing import Any

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import UsageError
from scripts.bench.comm.contenders import BARE, GLOO, INTO, PLAIN, RAW, WITH_RECEIPTS
from scripts.bench.comm.measure import OTHERS_CPU, ROOT_CPU, SHARE, TIME, TIMES
from scripts.bench.comm.operations import BARRIER, GATHER
from scripts.bench.comm.plan import OperationCase, format_size
from scripts.bench.formatting import NOTHING, format_number
from scripts.bench.rounds import OTHER_WORK

END = "<!-- end -->"
LARGE = 8  # ranks of the table of processor time, beside the barrier of two
WIDTH = 120  # of a line of the document
# What the tables call the contenders, of which the fastest counts where there are several.
CONTENDERS: Mapping[str, Mapping[str, str]] = {
    "raw sockets": {"kind": RAW},
    "Gloo": {"kind": GLOO},
    "ours, bare": {"contender": BARE.name},
    "ours, `out=`": {"contender": INTO.name},
    "ours": {"contender": PLAIN.name},
}
COUNTED: Mapping[str, Mapping[str, str]] = {  # those whose processor time is told
    "raw sockets": {"kind": RAW},
    "ours, bare": {"contender": BARE.name},
    "with receipts": {"contender": WITH_RECEIPTS.name},
    "ours": {"contender": PLAIN.name},
}
Entry = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.comm.page", allow_abbrev=False, description=__doc__.partition("\n")[0]
    )
    parser.add_argument("figures", type=Path, help="what cosmicai bench comm --json has written")
    parser.add_argument("document", type=Path, help="the document with the marks")
    args = parser.parse_args(arguments)
    try:
        report = _read(args.figures)
        text = args.document.read_text()
        for name, table in TABLES.items():
            text = replaced(text, name, table(report), args.document)
        with atomic_file(args.document) as partial:
            partial.write_text(text)
    except (OSError, UsageError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def replaced(text: str, name: str, content: str, document: Path) -> str:
    """Return a document with other content between two marks. Raises UsageError where they are not in it."""
    begin = f"<!-- figures {name} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise UsageError(f"{document} has no lines {begin} and {END}, between which the figures go")
    return f"{before}{begin}\n\n{content}\n\n{END}{after}"


def times(report: Mapping[str, Any]) -> str:
    """Return how long each operation takes, with what that says of Gloo and of raw sockets."""
    entries = report["comm"]
    worlds = sorted({entry["world_size"] for entry in entries})
    ranks = " / ".join(map(str, worlds))
    lines = [_row(["", "per rank", *CONTENDERS]), _row(["---"] * (2 + len(CONTENDERS)))]
    for case in _cases(entries):
        cells = [
            " / ".join(_number(_found(entries, case, world, one), TIME) for world in worlds)
            for one in CONTENDERS.values()
        ]
        lines.append(_row([case.operation, format_size(case.size) if case.size else "", *cells]))
    first = f"These are milliseconds for {ranks} ranks, {_machine(report)}."
    return "\n".join([fill(first, WIDTH), "", *lines, "", fill(" ".join(_compared(entries, worlds)), WIDTH)])


def processor_time(report: Mapping[str, Any]) -> str:
    """Return the processor time of barriers and gathers, in microseconds."""
    entries = report["comm"]
    worlds = {entry["world_size"] for entry in entries}
    titles = [title for name in COUNTED for title in (f"{name}, root", "each other rank")]
    lines = [_row(["", "ranks", *titles]), _row(["---"] * (2 + len(titles)))]
    for case in _cases(entries):
        if case.operation not in (BARRIER, GATHER):
            continue
        for world in sorted({2, LARGE} & worlds if case.operation == BARRIER else {LARGE} & worlds):
            found = [_found(entries, case, world, one) for one in COUNTED.values()]
            cells = [_number(one, name, 1e3) for one in found for name in (ROOT_CPU, OTHERS_CPU)]
            lines.append(_row([str(case), str(world), *cells]))
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {"times": times, "processor time": processor_time}


def _read(file: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(file.read_text())
        if not report["comm"]:
            raise ValueError("there are no figures in it")
        return dict(report)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is nothing that cosmicai bench comm --json has written: {error}") from error


def _compared(entries: Sequence[Entry], worlds: Sequence[int]) -> Iterator[str]:
    """Sentences about the medians of each round's ratio."""
    for name, what in ((PLAIN.name, "ours"), (BARE.name, "ours, bare")):
        rows = {
            f"{case} at {world} ranks": value
            for case in _cases(entries)
            for world in worlds
            for value in _figures(_of(entries, case, world, contender=name), TIMES)
        }
        if rows:
            lowest = min(rows, key=lambda row: rows[row])
            mean = 2.0 ** fmean(log2(value) for value in rows.values())
            yield (
                f"In the geometric mean of {len(rows)} rows *{what}* is {mean:.2f} times as fast as Gloo, and "
                f"{rows[lowest]:.2f} times in the lowest, {lowest}."
            )
    shares = []
    for case in _cases(entries):
        found = [_figures(_of(entries, case, world, contender=BARE.name), SHARE) for world in worlds]
        if case.operation in (BARRIER, GATHER) and all(found):
            shares.append(f"{case} {' / '.join(f'{share[0]:.2f}' for share in found)}")
    if shares:
        yield f"Of raw sockets' speed *ours, bare* has {', '.join(shares)}."
    shares = []
    for case in _cases(entries):
        pairs = [[_of(entries, case, world, contender=one.name) for one in (WITH_RECEIPTS, PLAIN)] for world in worlds]
        if case.operation == GATHER and all(rival and own for rival, own in pairs):
            shares.append(f"{case} {' / '.join(f'{_by_rounds(rival[0], own[0]):.2f}' for rival, own in pairs)}")
    if shares:
        yield f"Of the speed of *ours, bare* with receipts *ours* has {', '.join(shares)}."


def _by_rounds(rival: Entry, own: Entry) -> float:
    """How many times as fast, as neighbours in time had the same machine."""
    pairs = zip(rival["rounds"], own["rounds"], strict=False)  # one may have failed in the end
    return float(median(theirs[TIME] / ours[TIME] for theirs, ours in pairs))


def _machine(report: Mapping[str, Any]) -> str:
    machine = report.get("machine", {})
    busy = [entry["figures"][OTHER_WORK]["median"] for entry in report["comm"] if OTHER_WORK in entry["figures"]]
    where = f"measured on {machine.get('cores', 'some')} cores of an {machine.get('cpu', 'unknown processor')}"
    return f"{where}, of which other programs took {median(busy):.2f}" if busy else where


def _cases(entries: Iterable[Entry]) -> list[OperationCase]:
    return list(dict.fromkeys(OperationCase(entry["operation"], entry["size"]) for entry in entries))


def _of(entries: Iterable[Entry], case: OperationCase, world_size: int, **labels: str) -> list[Entry]:
    wanted = {**case.labels, "world_size": world_size, **labels}
    return [entry for entry in entries if all(entry[name] == value for name, value in wanted.items())]


def _found(entries: Iterable[Entry], case: OperationCase, world_size: int, which: Mapping[str, str]) -> Entry | None:
    found = _of(entries, case, world_size, **which)
    return min(found, key=lambda entry: float(entry["figures"][TIME]["median"]), default=None)


def _figures(entries: Sequence[Entry], name: str) -> list[float]:
    return [float(entry["figures"][name]["median"]) for entry in entries if name in entry["figures"]]


def _number(entry: Entry | None, name: str, factor: float = 1.0) -> str:
    if entry is None or name not in entry["figures"]:
        return NOTHING
    value = factor * entry["figures"][name]["median"]
    return f"{value:,.0f}" if factor != 1 else format_number(value)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
