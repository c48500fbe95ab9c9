"""What has become of a run, as JSON: how it ended, and its figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.json_file import write_json
from scripts.user_files import check_new


def check_run_json(file: Path | None, out: Path | None, *, overwrite: bool) -> None:
    """Checks before a run that the file of `--json` can be written after it.

    Args:
        file: the file.
        out: the folder that the results of the run will be in.
        overwrite: whether a file that is there may be replaced.

    Raises:
        UsageError: it cannot, or would be among the results.
    """
    if file is not None and out is not None and file.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"--json {printable(file)} would be among the results of the run: name another folder")
    check_new({"--json": file}, overwrite=overwrite)


def write_run_json(
    file: Path | None, described: Mapping[str, Any], results: ResultSource | None, say: Callable[[str], object]
) -> None:
    """Writes what has become of a run, if there is a file for it.

    Args:
        file: the file of `--json`.
        described: the execution as Step Functions describes it.
        results: where its results are, or None where it has none yet.
        say: is told where the file is.

    Raises:
        InvalidEvent: a result object is not JSON.
    """
    if file is not None:
        arn = str(described["executionArn"])
        ended = {key: described[key] for key in ("status", "error", "cause") if key in described}
        write_json({"run_id": arn.rpartition(":")[2], "arn": arn, **ended, **run_figures(results)}, file, say)


def run_figures(results: ResultSource | None) -> dict[str, Any]:
    """Reads the figures of a run.

    Args:
        results: where its results are, or None where it has none yet.

    Returns:
        Where they are, and what `summary.json` and `combined_data.json` hold. Both are None where the run has not
        written them.

    Raises:
        InvalidEvent: a result object is not JSON.
    """
    if results is None:
        return {}
    summary, ranks = (read_json(results, f"{name}.json") for name in ("summary", "combined_data"))
    return {"results": results.place, "summary": summary, "ranks": ranks}
