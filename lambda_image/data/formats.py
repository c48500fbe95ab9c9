"""The two formats of a partition, told apart by their content, each seen as columns that can be read by rows.

`.safetensors` is ours, see safetensors_format, and `.pt` is the published one, see torch_format.
"""

from lambda_image.data.byte_source import ByteSource
from lambda_image.data.file_content import BANDS_FLAG, BEGINNING, Column, ForeignFormat, FormatError
from lambda_image.data.safetensors_format import is_safetensors, safetensors_columns
from lambda_image.partition_names import printable

SHOWN = 8  # names of tensors in a message
ZIP_MAGIC = b"PK\x03\x04"
PICKLE_START = b"\x80"  # of protocol 2 and later, as PyTorch before 1.6 wrote it


def read_columns(source: ByteSource) -> dict[str, Column]:
    """What the format says there is, in the order of the file and read no further than it takes to say so.

    Shapes are not judged here.
    """
    start = source.peek(9)
    if not start:
        raise FormatError("it is empty: fetch it again, or take it away")
    if start.startswith(ZIP_MAGIC) or (start.startswith(PICKLE_START) and start[8:] != b"{"):
        from lambda_image.data.torch_format import torch_columns  # 3 ms that a rank spares until it meets such a file

        return torch_columns(source)
    if not is_safetensors(source):
        problem = "it is neither a PyTorch archive (.pt) nor safetensors, one of which is needed"
        raise ForeignFormat(problem, beginning=source.peek(BEGINNING))
    columns = safetensors_columns(source)
    if "images" not in columns:  # magnitudes may be absent, since some networks take none
        from lambda_image.data.weights import WEIGHTS, are_weights  # late: it is wrong already

        if are_weights(columns):
            raise FormatError(WEIGHTS)
        missing = sorted({"images", "magnitudes"} - columns.keys())
        flags = " ".join([*(f"--{name} NAME" for name in missing), BANDS_FLAG])
        found = [printable(name) for name in list(columns)[:SHOWN]]
        more = f" and {len(columns) - SHOWN:,} more" if len(columns) > SHOWN else ""
        what = f"it holds no {' and no '.join(missing)}, which are needed; found: {', '.join(found)}{more}"
        raise ForeignFormat(what, flags)
    return columns
