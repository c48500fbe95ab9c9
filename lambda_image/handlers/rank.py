"""The rank's function: a Lambda that loads an engine once, and answers one invocation after another by it."""

import os
from collections.abc import Mapping
from typing import Any

from lambda_image import process
from lambda_image.errors import InvalidEvent, RunError, with_short_errors
from lambda_image.handlers import log
from lambda_image.handlers.invocation import Collaborators, Environment, RankInvocation
from lambda_image.handlers.preparing import prepare
from lambda_image.manifest import Assignment
from lambda_image.model import engine as engines
from lambda_image.model.engine import Engine
from lambda_image.results import Phases
from lambda_image.run_time import refuse_late
from lambda_image.settings import HandlerSettings
from lambda_image.weights import WeightsCache

RECORD_TIME_S = 10.0  # of the invocation's time, kept for writing what is done; a quarter of what there is, at most
LONGEST_INVOCATION_S = 900.0  # on Lambda; more or less than nothing is left only by a clock that was set


class RankFunction:
    """Answers the invocations of one execution environment, one after another, by an engine that is loaded."""

    def __init__(
        self,
        settings: HandlerSettings,
        engine: Engine,
        cold_start: Phases,
        collaborators: Collaborators | None = None,
        engine_damage: str | None = None,
    ) -> None:
        weights = WeightsCache(settings.threads, settings.device, on_mismatch=_log_engine)
        self.environment = Environment(settings, engine, weights, collaborators or Collaborators(), engine_damage)
        self._cold_start = cold_start  # counts for the first invocation only

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "RankFunction":
        """Loads the model that the environment names.

        Raises:
            InvalidEvent: a variable has a value that is not allowed.
            CheckpointError: the model cannot be read.
        """
        interpreter_s, imported_s = process.AGE_AT_IMPORT_S, process.age_s()
        settings = HandlerSettings.from_environ(environ)
        damage: list[str] = []
        engine = engines.load(
            settings.model_path,
            settings.threads,
            settings.engine,
            _log_engine,
            settings.device,
            damage.append,
        )
        loaded_s = process.age_s()
        cold_start = Phases(
            interpreter_s=interpreter_s,
            imports_s=imported_s - interpreter_s,
            model_s=loaded_s - imported_s,
            cold_start_s=loaded_s,
        )
        return cls(settings, engine, cold_start, engine_damage=damage[0] if damage else None)

    @with_short_errors
    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Does the work of one rank, and leaves its predictions and its record on S3.

        Args:
            event: {"item": the manifest's item, "attempt": how often the state machine has tried before. A start that
                Lambda refused is such a try, too, so this is not the number of the attempt. "entered_at": when the
                state machine came to this rank, ISO 8601}. Or {"check": what `cosmicai doctor` asks}, which is answered
                by connection_check.py.
            context: what Lambda tells of the invocation, of which the remaining time counts.

        Returns:
            {"rank": its rank}.

        Raises:
            RunError: the rank failed; what it had finished by then is on S3.
        """
        if isinstance(event, Mapping) and event.keys() == {"check"}:
            from lambda_image.handlers import connection_check  # late, because no run needs it

            cold_start, self._cold_start = self._cold_start, Phases()
            settings, engine = self.environment.settings, self.environment.engine
            return connection_check.answer(event["check"], settings, engine.name, cold_start)
        if not isinstance(event, Mapping) or "item" not in event:
            raise InvalidEvent("a rank is invoked by the state machine, with an item of the manifest and the attempt")
        assignment = Assignment.from_json(event["item"])
        outside = self.environment.collaborators
        deadline = outside.clock() + _working_time_s(context.get_remaining_time_in_millis() / 1000)
        try:
            refuse_late(assignment, event.get("entered_at"))
            invocation = RankInvocation(
                self.environment, assignment, int(event.get("attempt") or 0), deadline, self._cold_start
            )
            self._cold_start = Phases()
            invocation.perform()
        except RunError as error:
            outside.log("failed", rank=assignment.rank, error=type(error).__name__, message=str(error))
            raise
        return {"rank": assignment.rank}  # no more: 10,000 ranks' answers must fit into one state's 256 KiB


def _log_engine(reason: str) -> None:
    log("engine", message=reason)


def _working_time_s(left_s: float) -> float:
    """How long an invocation may work that has `left_s`, which Lambda computes from the time of day."""
    if not 0 < left_s <= LONGEST_INVOCATION_S:
        left_s = LONGEST_INVOCATION_S
    return left_s - min(RECORD_TIME_S, left_s / 4)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in a Lambda: load the model in the init phase, once per environment
    handler = RankFunction.from_environ(os.environ)
prepare(os.environ, "lambda_image.comm.communicator", "cryptography.hazmat.primitives.ciphers.aead", "arro3.io")
