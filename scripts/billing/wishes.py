"""What the flags of `cosmicai cost` ask for."""

import math
from pathlib import Path

from lambda_image.cost import ARCHITECTURES, SHIPPED, Prices
from lambda_image.errors import UsageError
from lambda_image.events import MAX_WORLD_SIZE
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable
from scripts.billing.measured import WhatIf
from scripts.user_files import check_there

LAMBDA_MB = range(128, 10_241)
STORAGE_MB = range(512, 10_241)
CHANGES = {"memory": LAMBDA_MB, "world": range(1, MAX_WORLD_SIZE + 1), "storage": STORAGE_MB}


def parse_what_if(text: str) -> WhatIf:
    """Reads the flag `--what-if memory=4096,world=8`.

    Raises:
        UsageError: it names nothing that can be changed, or a value that is not allowed.
    """
    numbers: dict[str, int] = {}
    architecture = None
    for word in text.split(","):
        name, _, value = word.strip().partition("=")
        if name == "architecture" and value in ARCHITECTURES:
            architecture = value
        elif name in CHANGES and value.isdecimal() and int(value) in CHANGES[name]:
            numbers[name] = int(value)
        else:
            allowed = [f"{key}={span.start}...{span.stop - 1}" for key, span in CHANGES.items()]
            allowed.append(f"architecture={' or '.join(ARCHITECTURES)}")
            raise UsageError(f"--what-if is {text!r}, of which {word!r} is wrong; allowed: {', '.join(allowed)}")
    return WhatIf(text, numbers.get("memory"), numbers.get("world"), architecture, numbers.get("storage"))


def read_prices(file: Path | None) -> Prices:
    """Reads a price list of the form of lambda_image/prices.json; without a file, it is the shipped one.

    Raises:
        UsageError: the file is no such list, or lacks a price.
    """
    if file is None:
        return SHIPPED
    check_there("--prices", file, "a list of prices")
    try:
        content = parse_json(file.read_bytes())
        prices = Prices(str(content["region"]), str(content["date"]), dict(content["usd"]))
        for name in SHIPPED.usd:
            for architecture in ARCHITECTURES:
                if not math.isfinite(float(prices.of(name, architecture))):
                    raise ValueError(f"{name} is not a number")
    except KeyError as error:
        raise UsageError(f"--prices {printable(file)} lacks {error.args[0]}: copy lambda_image/prices.json") from None
    except (ValueError, TypeError) as error:
        raise UsageError(f"--prices {printable(file)} is no price list: {error}") from error
    return prices
