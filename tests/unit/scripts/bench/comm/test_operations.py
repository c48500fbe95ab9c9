from scripts.bench.comm.operations import ALLREDUCE, BARRIER, BCAST, GATHER, OPERATIONS


def test_each_operation_is_called_as_the_communicators_method_is() -> None:
    from lambda_image.comm.communicator import Communicator

    assert OPERATIONS == (BARRIER, GATHER, BCAST, ALLREDUCE)
    assert all(callable(getattr(Communicator, name)) for name in OPERATIONS)
