"""What an invocation ends with, in Lambda's own words, which the state machine's Retry and Catch match."""

import json
import signal
from dataclasses import dataclass, replace

PAYLOAD_LIMIT = 6_291_456  # bytes: 6 MB, Lambda's limit for synchronous requests and responses
EVENT_PAYLOAD_LIMIT = 1_048_576  # bytes: 1 MB, Lambda's limit for asynchronous requests


@dataclass(frozen=True)
class InvocationOutcome:
    """Holds a handler's response, or the error document of a function that failed."""

    payload: bytes  # JSON
    failed: bool = False
    report_status: str = ""  # what Lambda's REPORT says of it; nothing where all went well

    def __post_init__(self) -> None:
        if self.failed and not self.report_status:
            object.__setattr__(self, "report_status", "error")


def failure(error_type: str, message: str) -> InvocationOutcome:
    """Makes the outcome of a function that failed."""
    return InvocationOutcome(json.dumps({"errorMessage": message, "errorType": error_type}).encode(), failed=True)


def exited(request_id: str | None, returncode: int) -> InvocationOutcome:
    """Makes the outcome of a worker whose process has ended before it answered.

    Args:
        request_id: The invocation that it had; None if it ended before it asked for work.
        returncode: Its exit status; negative for a signal, as in subprocess.
    """
    if returncode < 0:
        name = signal.strsignal(-returncode) or f"signal {-returncode}"
        reason = f"Runtime exited with error: signal: {name.lower()}"
    elif returncode > 0:
        reason = f"Runtime exited with error: exit status {returncode}"
    else:
        reason = "Runtime exited without providing a reason"
    request = f"RequestId: {request_id} " if request_id else ""
    return failure("Runtime.ExitError", f"{request}Error: {reason}")


def timed_out(request_id: str, timeout_s: float) -> InvocationOutcome:
    """Makes the outcome of an invocation that ran for longer than the function's timeout, in seconds."""
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return replace(failure("Sandbox.Timedout", message), report_status="timeout")


def response_too_large() -> InvocationOutcome:
    """Makes the outcome of a handler that returned more than Lambda takes."""
    message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
    return failure("Function.ResponseSizeTooLarge", message)
