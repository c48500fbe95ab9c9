"""The folder of a sweep. A run that has ended is one file there, written whole or not at all."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable
from scripts.sweep.configuration import Configuration

PLAN, RUNS = "sweep.json", "runs"
SUCCEEDED, FAILED, NOT_RUN = "succeeded", "failed", "not run"


@dataclass(frozen=True)
class Measured:
    """A run of a sweep that has ended.

    Attributes:
        configuration: How it was made.
        status: SUCCEEDED, FAILED, or NOT_RUN where it could not be made here.
        reason: Why it did not succeed.
        summary: The content of `summary.json`, where there is one.
        records: Those of the ranks.
        states: Seconds that the state machine took: `total_s`, `map_s` and `init_s`, as its history tells them.
    """

    configuration: Configuration
    status: str
    reason: str | None = None
    summary: dict[str, Any] | None = None
    records: Sequence[dict[str, Any]] = ()
    states: dict[str, float | None] | None = None


class SweepFolder:
    """Keeps the plan of a sweep and the runs that have ended."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, plan: Sequence[Configuration], preset: str | None = None) -> list[Configuration]:
        """Writes the plan, or goes on with it where it is there.

        Args:
            plan: The runs in their order.
            preset: The preset that the plan is of.

        Returns:
            The runs that have not ended.

        Raises:
            UsageError: The folder holds another sweep, or something else.
        """
        content = {"preset": preset, "configurations": [one.to_json() for one in plan]}
        if (self.path / PLAN).is_file():
            if self.plan() != list(plan):
                where = printable(self.path)
                raise UsageError(f"--out {where} holds a sweep with other flags: repeat those, or name another folder")
        elif self.path.exists() and any(self.path.iterdir()):
            where = printable(self.path)
            raise UsageError(f"--out {where} holds something that is not a sweep: name another folder")
        else:
            (self.path / RUNS).mkdir(parents=True, exist_ok=True)
            _write(self.path / PLAN, content)
        return [one for one in plan if not self._file(one).is_file()]

    def plan(self) -> list[Configuration]:
        """Reads the plan.

        Raises:
            InvalidEvent: It is not there, or damaged.
        """
        return self._begun()[0]

    def preset(self) -> str | None:
        """Names the preset that the plan is of, if it is of one.

        Raises:
            InvalidEvent: The plan is not there, or damaged.
        """
        return self._begun()[1]

    def _begun(self) -> tuple[list[Configuration], str | None]:
        file = self.path / PLAN
        try:
            content = parse_json(file.read_bytes())
            return [Configuration.from_json(one) for one in content["configurations"]], content.get("preset")
        except FileNotFoundError as error:
            raise InvalidEvent(f"{printable(self.path)} holds no {PLAN}, which `cosmicai sweep` writes") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidEvent(f"{printable(file)} is damaged: remove the folder and repeat the sweep") from error

    def keep(self, run: Measured) -> None:
        """Writes a run that has ended."""
        content = {
            "configuration": run.configuration.to_json(),
            "status": run.status,
            "reason": run.reason,
            "summary": run.summary,
            "records": list(run.records),
            "states": run.states,
        }
        (self.path / RUNS).mkdir(exist_ok=True)
        _write(self._file(run.configuration), content)

    def runs(self) -> Iterator[Measured]:
        """Reads the runs that have ended, in the order of the plan.

        Raises:
            InvalidEvent: One is damaged, or there is no plan.
        """
        for configuration in self.plan():
            file = self._file(configuration)
            try:
                content = parse_json(file.read_bytes())
                fields = {name: content[name] for name in ("status", "reason", "summary")}
                records, states = tuple(content["records"]), content.get("states")
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidEvent(f"{printable(file)} is damaged: remove it and repeat the sweep") from error
            yield Measured(configuration, records=records, states=states, **fields)

    def _file(self, configuration: Configuration) -> Path:
        return self.path / RUNS / f"{configuration.key}.json"


def _write(file: Path, content: object) -> None:
    """Replaces the file at once, so that nothing that ends this process leaves half of it."""
    with atomic_file(file) as partial, partial.open("w", encoding="utf-8") as target:
        json.dump(content, target)
        target.flush()
        os.fsync(target.fileno())
