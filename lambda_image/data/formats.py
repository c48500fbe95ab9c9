"""The two formats of a partition, told apart by their content, each seen as columns that can be read by rows.

`.safetensors` is ours, see safetensors_format, and `.pt` is the published one, see torch_format.
"""

from lambda_image.data.byte_source import ByteSource
from lambda_image.data.file_content import Column, FormatError
from lambda_image.data.safetensors_format import safetensors_columns

ZIP_MAGIC = b"PK\x03\x04"
OLD_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def read_columns(source: ByteSource) -> dict[str, Column]:
    """What the format says there is, in the order of the file and read no further than it takes to say so.

    Shapes are not judged here.
    """
    start = source.peek(len(OLD_TORCH_MAGIC))
    if not start:
        raise FormatError("it is empty")
    if start.startswith(ZIP_MAGIC):
        from lambda_image.data.torch_format import torch_columns  # 3 ms that a rank spares until it meets such a file

        return torch_columns(source)
    if start == OLD_TORCH_MAGIC:
        raise FormatError("it has the format of PyTorch before 1.6: load it there and save it again with torch.save")
    return safetensors_columns(source)
