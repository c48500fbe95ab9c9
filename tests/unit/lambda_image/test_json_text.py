import pytest

from lambda_image.json_text import parse_json


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '{"a":' * 100_000])
def test_whatever_is_wrong_is_a_value_error(text: str | bytes):
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_is_what_it_says():
    assert parse_json(b'{"a": [1, null, "\xc3\xa9"]}') == {"a": [1, None, "é"]}
