import pytest

from lambda_image.address import Address


@pytest.mark.parametrize(
    ("text", "expected"),
    [("rendezvous:10000", ("rendezvous", 10000)), ("[::1]:1", ("::1", 1)), (" 10.0.0.1:65535\n", ("10.0.0.1", 65535))],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    address = Address.parse(text)
    assert address == expected
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:", "host:0", "host:65536", "host:x", "host:-1", "host:²", 5, None]
)
def test_what_is_no_address_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="host:port, for example"):
        Address.parse(text)
