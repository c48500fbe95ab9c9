from lambda_image.comm.channel.transport import WAYS, Transport


def test_the_best_way_comes_first_at_the_number_that_handshakes_carry() -> None:
    """A handshake names a way by its place here, so that ranks of two versions must agree about it."""
    assert WAYS == (Transport.DIRECT, Transport.PUNCHED, Transport.RELAYED)
    assert [WAYS.index(way) for way in WAYS] == [0, 1, 2]


def test_a_way_is_written_into_records_by_its_name() -> None:
    assert [str(way) for way in WAYS] == ["direct", "punched", "relayed"]
    assert f"{Transport.DIRECT}" == Transport("direct") == "direct"
