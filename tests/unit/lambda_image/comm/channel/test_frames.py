from lambda_image.comm.channel.frames import HEADER, HEADER_BYTES, Header


def test_a_header_is_sixteen_bytes_in_network_order() -> None:
    packed = HEADER.pack(1, 2, 3, 4, 5)
    assert packed == bytes.fromhex("00000001 02 03 0004 0000000000000005")
    assert len(packed) == HEADER_BYTES == 16
    assert Header.unpack(b"?" + packed, 1) == Header(operation=1, kind=2, flags=3, meta_length=4, length=5)
