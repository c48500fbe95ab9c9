import pytest

from lambda_image.comm.channel.frames import HEADER, HEADER_BYTES, Header, record_bytes


def test_a_header_is_sixteen_bytes_in_network_order() -> None:
    packed = HEADER.pack(1, 2, 3, 4, 5)
    assert packed == bytes.fromhex("00000001 02 03 0004 0000000000000005")
    assert len(packed) == HEADER_BYTES == 16
    assert Header.unpack(b"?" + packed, 1) == Header(operation=1, kind=2, flags=3, meta_length=4, length=5)


@pytest.mark.parametrize(
    ("length", "in_each"),
    [
        (4100, 256 << 10),
        (1_000_000, 256 << 10),
        (1 << 20, 256 << 10),
        ((1 << 20) + 1, 320 << 10),
        (2 << 20, 512 << 10),
        (4 << 20, 1 << 20),
        (1 << 40, 1 << 20),
    ],
)
def test_a_payload_goes_in_four_records_at_least_unless_they_were_short(length: int, in_each: int) -> None:
    assert record_bytes(length) == in_each
