"""Files that users give, as targets."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lambda_image.address import Address
from lambda_image.data.byte_source import TruncatedError
from lambda_image.data.file_content import BEGINNING, FormatError
from lambda_image.data.foreign import foreign_format
from lambda_image.errors import InvalidEvent, PartitionMalformed, PartitionMissing, UsageError
from lambda_image.model.onnx_file import OnnxFileError, read_contract
from lambda_image.model.published import read
from scripts.importing.opening import open_file
from scripts.logs.exports import read_export
from scripts.logs.history import execution_times, read_history
from scripts.logs.invocations import find_invocations

ROWS = 4  # of each array that are read


@contextlib.contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def foreign_files(data: bytes) -> None:
    """FITS, NumPy, CSV and whatever else the first bytes say."""
    foreign_format(data[:BEGINNING])
    with file_of(data) as path, contextlib.suppress(PartitionMalformed, PartitionMissing, UsageError):
        for column in open_file(path).arrays.values():
            column.read(0, min(ROWS, column.shape[0]) if column.shape else 0)


def checkpoints(data: bytes) -> None:
    """In the published format."""
    with file_of(data) as path, contextlib.suppress(FormatError, TruncatedError):
        read(path)


def onnx_files(data: bytes) -> None:
    with contextlib.suppress(OnnxFileError):
        read_contract(data)


def addresses(data: bytes) -> None:
    """As `rendezvous_endpoint` gives them."""
    with contextlib.suppress(ValueError):
        str(Address.parse(data.decode("latin-1")))


def exported_logs(data: bytes) -> None:
    """In any of the forms in which CloudWatch exports them."""
    with file_of(data) as path, contextlib.suppress(InvalidEvent):
        find_invocations(read_export(path))


def histories(data: bytes) -> None:
    """Of executions, as AWS's command prints them."""
    with file_of(data) as path, contextlib.suppress(InvalidEvent):
        execution_times(read_history(path))


TARGETS = (foreign_files, checkpoints, onnx_files, addresses, exported_logs, histories)
