"""JSON that comes from outside."""

import json
from typing import Any


def parse_json(text: str | bytes | bytearray) -> Any:
    """Reads JSON. Whatever is wrong with it is one kind of error.

    Raises:
        ValueError: it is no JSON, or nested more deeply than Python's parser goes.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
