"""Turns workers' output into lines of JSON that say which worker wrote them."""

from lambda_image.json_text import parse_json

LINE_LIMIT = 256 * 1024  # bytes, CloudWatch's limit of one log event: a longer line is cut into several


class LogLines:
    """Cuts chunks of output into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Returns the lines that `chunk` completes. An empty chunk is the end, and completes what is left."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > LINE_LIMIT:
            whole.append(self._rest[:LINE_LIMIT])
            self._rest = self._rest[LINE_LIMIT:]
        if not chunk:
            whole.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole if line.strip()]


def log_event(line: str, function: str, pid: int, stream: str = "stdout") -> dict[str, object]:
    """Makes an event of a line: a worker's own JSON event with its origin, or any other line with what it says."""
    origin: dict[str, object] = {"function": function, "worker": pid}
    try:
        event = parse_json(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        return event | origin
    return {"event": "log", **origin, "stream": stream, "line": line}
