"""A machine beside the ranks: what `cosmicai infer --json` measured, held against the runs of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_image.errors import UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable
from scripts.cost import LOCAL_USD_PER_HOUR, local_usd
from scripts.report.figure import Figure, Value, six_digits
from scripts.sweep.configuration import DATA_SIZES
from scripts.user_files import check_there

COLUMNS = (
    *("World Size", "Batch Size", "Dataset", "Galaxies", "Local Time (s)", "Dist Time (s)", "Speedup", "Efficiency"),
    *("Local Cost ($)", "Dist Cost ($)", "Cost Decrease"),
)


@dataclass(frozen=True)
class Baseline:
    """What one machine took: seconds for so many galaxies, in batches of so many."""

    batch_size: int
    samples: int
    seconds: float


def read_baseline(file: Path) -> Baseline:
    """Reads the published `Results.json`, as `cosmicai infer --json` writes it.

    Raises:
        UsageError: The file is not there, or is anything else.
    """
    check_there("--baseline", file, "a Results.json")
    try:
        content = parse_json(file.read_bytes())
        seconds = content["total cpu time (second)"] or content["total gpu time (second)"]
        batch = int(content["batch size"])
        samples = int(content.get("samples", content["number of batches"] * batch))
        if not (seconds > 0 and batch > 0 and samples > 0):
            raise ValueError("a number is not above 0")
        return Baseline(batch, samples, float(seconds))
    except OSError as error:
        raise UsageError(f"--baseline {printable(file)}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--baseline {printable(file)} is no Results.json ({error}): cosmicai infer DATA --json writes one"
        ) from error


def against_baselines(together: Sequence[Mapping[str, Any]], baselines: Sequence[Baseline]) -> Figure:
    """Tabulates runs beside a local machine, with the columns of the published comparison.

    Args:
        together: A row for each configuration, as `scripts.sweep.tables.medians` gives them.
        baselines: What the machine took. A run is held against the one with its batch size, or else against the first.
    """
    by_batch = {baseline.batch_size: baseline for baseline in reversed(baselines)}
    rows: list[Sequence[Value]] = []
    for row in together:
        if not row["wall_s"] or not row["cost_usd"]:
            continue
        baseline = by_batch.get(row["batch_size"], baselines[0])
        local_s = baseline.seconds * row["rows"] / baseline.samples
        local = local_usd(local_s)
        speedup = local_s / row["wall_s"]
        values = (local_s, row["wall_s"], speedup, speedup / row["world_size"], local, row["cost_usd"])
        rounded = map(six_digits, (*values, 1 - row["cost_usd"] / local))
        dataset = next((name for name, rows_of in DATA_SIZES.items() if rows_of == row["rows"]), None)
        rows.append((row["world_size"], row["batch_size"], dataset, row["rows"], *rounded))
    caption = (
        f"The local time is what the baseline took for as many galaxies, at {LOCAL_USD_PER_HOUR:g} USD an hour. It is "
        "the time in the engine alone. The distributed time is the wall time of the run, with its start and gather."
    )
    return Figure("baseline", "Beside a local machine", caption, COLUMNS, rows, wide=True)
