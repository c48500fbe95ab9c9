"""The three functions of the state machine, one file each, and the one way in which they log."""

import json

from lambda_image.errors import cut


def log(event: str, **fields: object) -> None:
    """Prints an event as one line of JSON, which CloudWatch, containers and `cosmicai demo` all read."""
    shown = {name: cut(value) if isinstance(value, str) else value for name, value in fields.items()}
    print(json.dumps({"event": event, **shown}), flush=True)
