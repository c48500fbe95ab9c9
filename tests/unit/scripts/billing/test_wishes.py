import json
from pathlib import Path

import pytest

from lambda_image.cost import PRICE_LIST, SHIPPED
from lambda_image.errors import UsageError
from scripts.billing.measured import WhatIf
from scripts.billing.wishes import parse_what_if, read_prices


def test_what_if():
    assert parse_what_if("memory=4096,world=8") == WhatIf("memory=4096,world=8", 4096, 8)
    assert parse_what_if("architecture=arm64, storage=2048") == WhatIf(
        "architecture=arm64, storage=2048", architecture="arm64", storage_mb=2048
    )


@pytest.mark.parametrize("text", ["", "memory", "memory=1", "memory=x", "world=0", "architecture=mips", "time=1"])
def test_what_cannot_be_supposed_is_refused(text: str):
    with pytest.raises(UsageError, match=r"allowed: memory=128...10240, world=1...10000, storage="):
        parse_what_if(text)


def test_prices_of_another_region(tmp_path: Path):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(PRICE_LIST | {"region": "eu-west-1"}))
    assert str(read_prices(file)) == f"eu-west-1, {SHIPPED.date}"
    assert read_prices(None) is SHIPPED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is no price list"),
        ("{", "is no price list"),
        ('{"region": "a", "date": "b"}', "lacks usd"),
        ('{"region": "a", "date": "b", "usd": {}}', "lacks lambda_gb_second"),
        (json.dumps(PRICE_LIST | {"usd": PRICE_LIST["usd"] | {"s3_put": "x"}}), "is no price list"),
        (json.dumps(PRICE_LIST | {"usd": PRICE_LIST["usd"] | {"s3_put": float("nan")}}), "s3_put is not a number"),
    ],
)
def test_a_list_that_lacks_something_is_refused(tmp_path: Path, content: str, said: str):
    file = tmp_path / "prices.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=said):
        read_prices(file)
    with pytest.raises(UsageError, match="does not exist"):
        read_prices(tmp_path / "none.json")
