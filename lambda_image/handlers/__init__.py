"""The three functions of the state machine, one file each, and the one way in which they log."""

import json


def log(event: str, **fields: object) -> None:
    """Prints an event as one line of JSON, which CloudWatch, containers and `cosmicai demo` all read."""
    print(json.dumps({"event": event, **fields}), flush=True)
