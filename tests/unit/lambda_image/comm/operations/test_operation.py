from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.operations.operation import Operation
from lambda_image.errors import PeerTimeout


def test_an_error_says_who_waited_for_whom_in_what_since_when() -> None:
    now = [10.0]
    operation = Operation(2, 7, Kind.GATHER, 20.0, clock=lambda: now[0])
    now[0] = 12.5
    error = operation.error(PeerTimeout, 5, "had not joined by the deadline")
    assert str(error) == "rank 2, gather: rank 5 had not joined by the deadline (2.5 s after its start)"
    assert (error.rank, error.peer, error.phase, error.elapsed_s) == (2, 5, "gather", 2.5)
