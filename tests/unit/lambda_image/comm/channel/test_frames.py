from lambda_image.comm.channel.frames import HEADER, HEADER_BYTES, TAG_BYTES, Header, Seals

KEY = b"k" * 32


def test_a_header_is_sixteen_bytes_in_network_order() -> None:
    packed = HEADER.pack(1, 2, 3, 4, 5)
    assert packed == bytes.fromhex("00000001 02 03 0004 0000000000000005")
    assert len(packed) == HEADER_BYTES == 16
    assert Header.unpack(b"?" + packed, 1) == Header(operation=1, kind=2, flags=3, meta_length=4, length=5)


def test_the_same_header_has_another_tag_each_time() -> None:
    ours, theirs = Seals(KEY), Seals(KEY)
    tags = []
    for _ in range(3):
        seal, same = ours.begin(b"header"), theirs.begin(b"header")
        assert seal is not None
        assert same is not None
        assert seal.digest() == same.digest()
        tags.append(seal.digest())
    assert len(set(tags)) == 3
    assert {len(tag) for tag in tags} == {ours.tag_bytes} == {TAG_BYTES}


def test_without_a_key_there_are_no_tags() -> None:
    seals = Seals(None)
    assert (seals.begin(b"header"), seals.tag_bytes) == (None, 0)
