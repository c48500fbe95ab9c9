from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.connecting.membership import Membership
from rendezvous_server.protocol import Join


def test_keys_appear_in_no_log() -> None:
    membership = Membership("h:1", Join("run", 0, 2), b"the run's key", b"the server's key", 0.0, ChannelSettings())
    assert "key" not in repr(membership)
