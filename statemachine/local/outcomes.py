"""What an invocation ends with, in the words that Lambda uses: the state machine's Retry and Catch match these."""

import json
import signal
from dataclasses import dataclass

PAYLOAD_LIMIT = 6_291_456  # bytes: 6 MB, Lambda's limit for synchronous requests and responses
EVENT_PAYLOAD_LIMIT = 1_048_576  # bytes: 1 MB, Lambda's limit for asynchronous requests


@dataclass(frozen=True)
class InvocationOutcome:
    """A response (`payload` is what the handler returned) or a function error (`payload` is its error document)."""

    payload: bytes
    failed: bool = False


def failure(error_type: str, message: str) -> InvocationOutcome:
    return InvocationOutcome(json.dumps({"errorMessage": message, "errorType": error_type}).encode(), failed=True)


def exited(request_id: str | None, returncode: int) -> InvocationOutcome:
    """The worker's process ended before it answered, or (without a request) before it asked for work.

    `returncode` is negative for a signal, as in subprocess.
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
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return failure("Sandbox.Timedout", message)


def response_too_large() -> InvocationOutcome:
    message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
    return failure("Function.ResponseSizeTooLarge", message)
