"""Following a run that was started, until it has ended: how it stands, its ranks, and what Ctrl-C means meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from scripts.runs.place import Place
from scripts.runs.rank_watch import RankWatch
from scripts.runs.run_progress import RunProgress
from scripts.stack.account import THROTTLED, code_of

PATIENCE = 0.02  # of what a run has taken, the pause until the next look at it
LONGEST_PAUSE_S = 5.0  # beyond which a user would notice the end of a run late
SILENCE_S = 300.0  # of AWS that is waited out; what boto3 tries by itself is not counted
STOPPED_BY = "cosmicai"  # the error of an execution that a user has stopped


@dataclass(frozen=True)
class StartedRun:
    """An execution, and where its results go."""

    arn: str
    bucket: str
    result_path: str

    @property
    def name(self) -> str:
        """The ID of the run."""
        return self.arn.rpartition(":")[2]


@dataclass
class Follower:
    """Follows one run.

    `ask` asks the user whether to stop the run; without it, an interrupt only ends the following. `lookout` is called
    between two looks, and `ranks` shows the progress of the ranks, where nothing else does.
    """

    place: Place
    run: StartedRun
    progress: RunProgress
    ask: Callable[[str], bool] | None = None
    ranks: RankWatch | None = None
    lookout: Callable[[], None] = lambda: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _silent_since: float | None = field(default=None, init=False)

    def follow(self) -> dict[str, Any]:
        """Waits for the end of the run.

        Returns:
            The execution as Step Functions describes it.

        Raises:
            KeyboardInterrupt: the user leaves; the run goes on.
            botocore's errors: AWS refuses, or has not answered for minutes; the run goes on.
        """
        client, started = self.place.client("stepfunctions"), self.clock()
        while True:
            try:
                described = self._describe(client)
                if described is not None and described["status"] != "RUNNING":
                    return described
                if described is not None and self.ranks is not None:
                    self.ranks.look(self.clock() - started)
                self.lookout()
                self.sleep(min(max(self.place.pause_s, PATIENCE * (self.clock() - started)), LONGEST_PAUSE_S))
            except KeyboardInterrupt:
                self._interrupted(client)
            except (ClientError, BotoCoreError) as error:
                # A local endpoint that does not answer may have ended, and the run with it.
                self._leave(sure=self.place.local is None or isinstance(error, ClientError))
                raise

    def _describe(self, client: Any) -> dict[str, Any] | None:
        """None where AWS is too busy or does not answer, which may pass."""
        try:
            described: dict[str, Any] = client.describe_execution(executionArn=self.run.arn)
        except (ClientError, ConnectionError, HTTPClientError) as error:
            passing = code_of(error) in THROTTLED if isinstance(error, ClientError) else self.place.local is None
            if not passing:
                raise
            now = self.clock()
            if self._silent_since is None:
                self._silent_since = now
                self.progress.print("AWS is too busy or does not answer; the run goes on, and is looked at again")
            if now - self._silent_since > SILENCE_S:
                raise
            return None
        self._silent_since = None
        return described

    def _interrupted(self, client: Any) -> None:
        if self.ask is None:
            self._leave()
            raise KeyboardInterrupt
        try:
            with self.progress.paused():
                stop = self.ask(f"Stop the run {self.run.name}? (Ctrl-C once more leaves it alone)")
        except KeyboardInterrupt:
            self._leave()
            raise
        if stop:
            client.stop_execution(executionArn=self.run.arn, error=STOPPED_BY, cause="stopped by the user")
            self.progress.print(f"stopping the run {self.run.name}")
        else:
            self.progress.print("the run goes on")

    def _leave(self, *, sure: bool = True) -> None:
        if self.place.local is not None and not self.place.local.stays:  # the run ends with it
            return
        for line in ways_on(self.place, self.run.name, sure=sure):
            self.progress.print(line)


def ways_on(place: Place, name: str, *, sure: bool = True) -> list[str]:
    """Says how to go on with a run that nobody follows any more.

    Args:
        place: where it runs.
        name: its ID.
        sure: whether that place still answers.
    """
    return [
        f"the run {name} goes on:" if sure else f"the run {name} goes on if {place.name} still runs:",
        f"  {place.command('watch', name)}",
        f"  {place.command('results', name)}",
    ]
