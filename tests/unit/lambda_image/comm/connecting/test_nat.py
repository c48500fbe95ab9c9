import pytest

from lambda_image.comm.connecting.nat import Nat, nat_behaviour
from rendezvous_server.protocol import Endpoint

LOCAL, SEEN, ELSEWHERE = Endpoint("10.0.0.5", 4000), Endpoint("203.0.113.9", 4000), Endpoint("203.0.113.9", 4001)


@pytest.mark.parametrize(
    ("observed", "probed", "nat"),
    [
        (LOCAL, None, Nat.NONE),
        (SEEN, SEEN, Nat.ENDPOINT_INDEPENDENT),
        (SEEN, ELSEWHERE, Nat.ADDRESS_AND_PORT_DEPENDENT),
        (SEEN, None, Nat.UNKNOWN),
    ],
)
def test_what_two_looks_at_one_local_port_tell(observed: Endpoint, probed: Endpoint | None, nat: Nat) -> None:
    assert nat_behaviour(LOCAL, observed, probed) is nat
