from rendezvous_server.protocol.key import key_from_text


def test_a_key_is_its_text_without_white_space() -> None:
    assert key_from_text(" key\n") == b"key"
    assert key_from_text(" \n") is None
