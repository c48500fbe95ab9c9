"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes an empty file beside `path`, for the block to write to.

    The file becomes `path` when the block ends well, and it is removed when the block raises. Folders above `path` are
    made where they are missing. What is no file, such as /dev/null, is written to as it is.

    Yields:
        The path of the file beside `path`.
    """
    target = Path(path)
    if target.exists() and not target.is_file():  # a device or a pipe, which is not to be replaced by a file
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # what the umask leaves; some writers make files that only their owner may read
        yield partial
        partial.chmod(mode)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
