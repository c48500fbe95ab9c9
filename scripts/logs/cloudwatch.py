"""The log events of a run, asked of CloudWatch Logs page by page and at the pace that it allows."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from scripts.logs.exports import LogEvent, of_cloudwatch
from scripts.stack.account import THROTTLED, AccountError, code_of

# Ranks tell of their progress four times a second. All that is wanted are reports and what they are joined by.
PATTERN = " ".join(
    f'?"{words}"' for words in ("REPORT", "START", "platform.report", "platform.start", "run_id", "timed out")
)
FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 1.0, 30.0, 2.0  # after a request that was refused as too many
PATIENCE_S = 300.0  # for one page

Sleep = Callable[[float], None]


def events_of_group(
    client: Any, group: str, start_ms: int, end_ms: int, sleep: Sleep = time.sleep
) -> Iterator[LogEvent]:
    """Asks for the events of a log group between two times.

    Args:
        client: Of CloudWatch Logs.
        group: The name of the group.
        start_ms: Milliseconds since the epoch.
        end_ms: The same.
        sleep: Waits for so many seconds.

    Yields:
        Events that tell of invocations. There are none where the group does not exist, as of a function that never ran.

    Raises:
        AccountError: CloudWatch refused as too many all requests of some minutes.
        ClientError: it refuses in another way.
    """
    more: dict[str, str] = {}
    while True:
        arguments = {"logGroupName": group, "startTime": start_ms, "endTime": end_ms, "filterPattern": PATTERN, **more}
        try:
            page = _patiently(partial(client.filter_log_events, **arguments), sleep)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return
            raise
        for event in page["events"]:
            yield of_cloudwatch(event, group)
        if not page.get("nextToken"):
            return
        more = {"nextToken": page["nextToken"]}


def _patiently(ask: Callable[[], dict[str, Any]], sleep: Sleep) -> dict[str, Any]:
    """The answer, however often CloudWatch asks to slow down in the next minutes."""
    waited, pause = 0.0, FIRST_PAUSE_S
    while True:
        try:
            return ask()
        except ClientError as error:
            if code_of(error) not in THROTTLED:
                raise
            if waited >= PATIENCE_S:
                raise AccountError(
                    f"CloudWatch still asks to slow down after {waited:.0f} s of one page: try again later, or export "
                    "the log and give it by --file"
                ) from error
        sleep(pause)
        waited, pause = waited + pause, min(pause * GROWTH, LONGEST_PAUSE_S)
