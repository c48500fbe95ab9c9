"""Invocations as a table, as CSV and as JSON, with what they add up to."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from lambda_image.atomic_file import atomic_file
from lambda_image.cost import LAMBDA, PRICES_FROM, Billed, BillingTerms, bill, usd_of
from scripts.console import plain_table
from scripts.logs.history import ExecutionTimes
from scripts.logs.invocations import FoundInvocations, LoggedInvocation
from scripts.words import counted

SHOWN = 40  # invocations in the table; the files have all
NUMBERS = ("duration", "billed", "init", "restore", "peak", "memory")


def rows(found: FoundInvocations) -> list[dict[str, Any]]:
    """Makes a flat row of each invocation, ordered by function, rank and time."""
    return [_row(one) for one in sorted(found.invocations, key=_order)]


def totals(found: FoundInvocations, times: ExecutionTimes, architecture: str) -> dict[str, Any]:
    """Adds up what Lambda bills.

    Args:
        found: The invocations.
        times: How long the execution took.
        architecture: Of the functions, by which a second has its price.
    """
    every = found.invocations
    gb_seconds = sum(_billed_ms(one) / 1000 * one.report.memory_mb / 1024 for one in every)
    billed = [Billed(_billed_ms(one) / 1000, one.report.memory_mb) for one in every]
    usd = usd_of(bill(billed, [], 0, 0.0, BillingTerms(architecture)), LAMBDA)
    durations = [one.report.duration_ms for one in every]
    return {
        "invocations": len(every),
        "ranks": len({one.rank for one in every if one.rank is not None}),
        "cold_starts": sum(one.report.init_ms is not None or one.report.restore_ms is not None for one in every),
        "timeouts": sum(one.report.status == "timeout" for one in every),
        "failures": sum(one.report.status in ("error", "failure") for one in every),
        "duration_ms": {"median": median(durations), "max": max(durations)} if durations else None,
        "billed_s": sum(_billed_ms(one) for one in every) / 1000,
        "billed_gb_s": gb_seconds,
        "lambda_usd": usd,
        "prices": PRICES_FROM,
        "architecture": architecture,
        "total_s": times.total_s,
        "map_s": times.map_s,
        "events": found.events,
        "duplicates_removed": found.duplicates,
        "unreadable_reports": found.unreadable,
    }


def write_csv(file: Path, listed: Sequence[Mapping[str, Any]]) -> None:
    """Writes a line for each invocation under a line of names."""
    with atomic_file(file) as partial, partial.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(_row(None)))
        writer.writeheader()
        writer.writerows(listed)


def table(listed: Sequence[Mapping[str, Any]], summed: Mapping[str, Any]) -> RenderableType:
    """Makes the table for the terminal, with the longest invocations where there are many."""
    shown = list(listed)
    if len(shown) > SHOWN:
        longest = sorted(shown, key=lambda row: -row["duration_ms"])[:SHOWN]
        shown = [row for row in shown if row in longest]
    every = plain_table("", (), (), narrow=True)
    names = {name for name in NUMBERS if any(_cell(row, name) for row in shown)}
    for name in ("function", "rank", *(name for name in NUMBERS if name in names), "status", "request"):
        every.add_column(name, justify="right" if name in (*NUMBERS, "rank") else "left")
    for row in shown:
        every.add_row(
            _last(row["function"]),
            "" if row["rank"] is None else str(row["rank"]),
            *(_cell(row, name) for name in NUMBERS if name in names),
            row["error_type"] or row["status"] or "",
            row["request_id"][:8],
        )
    sums = Table(show_header=False, box=None)
    for name, value in _sums(summed, len(listed)):
        sums.add_row(name, value)
    return Group(every, sums) if shown else sums


def _sums(summed: Mapping[str, Any], listed: int) -> Iterable[tuple[str, str]]:
    ranks = f", of {counted(summed['ranks'], 'rank')}" if summed["ranks"] else ""
    yield "invocations", f"{summed['invocations']:,}{ranks}"
    if listed > SHOWN:
        yield "shown", f"the {SHOWN} longest; --csv and --json have all"
    if summed["duration_ms"]:
        ms = summed["duration_ms"]
        yield "duration", f"{ms['median'] / 1000:.2f} s in the median, {ms['max'] / 1000:.2f} s at most"
    for name in ("cold_starts", "timeouts", "failures"):
        if summed[name]:
            yield name.replace("_", " "), f"{summed[name]:,}"
    yield "billed", f"{summed['billed_s']:,.2f} s, {summed['billed_gb_s']:,.2f} GB-s"
    yield "cost of Lambda", f"{summed['lambda_usd']:.6f} USD ({summed['architecture']}, prices: {summed['prices']})"
    for name, key in (("execution", "total_s"), ("Map", "map_s")):
        if summed[key] is not None:
            yield name, f"{summed[key]:.2f} s"
    if summed["duplicates_removed"]:
        yield "removed", counted(summed["duplicates_removed"], "report of an invocation that was reported before",
                                 "reports of invocations that were reported before")  # fmt: skip
    if summed["unreadable_reports"]:
        yield "not readable", counted(summed["unreadable_reports"], "report that was cut", "reports that were cut")


def _row(one: LoggedInvocation | None) -> dict[str, Any]:
    report = asdict(one.report) if one is not None else {}
    ended = one.ended_ms if one is not None else None
    return {
        "function": one and one.function,
        "rank": one and one.rank,
        "request_id": report.get("request_id"),
        "ended": None
        if ended is None
        else datetime.fromtimestamp(ended / 1000, UTC).isoformat(timespec="milliseconds"),
        "duration_ms": report.get("duration_ms"),
        "billed_ms": report.get("billed_ms"),
        "init_ms": report.get("init_ms"),
        "restore_ms": report.get("restore_ms"),
        "billed_restore_ms": report.get("billed_restore_ms"),
        "memory_mb": report.get("memory_mb"),
        "peak_mb": report.get("peak_mb"),
        "status": report.get("status"),
        "error_type": report.get("error_type"),
        "log_stream": one and one.stream,
    }


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name in ("peak", "memory"):
        value = row[f"{name}_mb"]
        return "" if value is None else f"{value} MB"
    value = row[f"{name}_ms"]
    return "" if value is None else f"{value:,.0f} ms"


def _order(one: LoggedInvocation) -> tuple[Any, ...]:
    return (one.function, one.rank is None, one.rank or 0, one.ended_ms or 0, one.report.request_id)


def _billed_ms(one: LoggedInvocation) -> float:
    return one.report.billed_ms + (one.report.billed_restore_ms or 0.0)


def _last(group: str) -> str:
    return group.rpartition("/")[2]
