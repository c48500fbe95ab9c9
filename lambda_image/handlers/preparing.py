"""What invocations use and no function needs in order to start, loaded while its first invocation is on its way."""

import importlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from lambda_image.storage import s3_client


def prepare(
    environ: Mapping[str, str], *modules: str, make_client: Callable[[], object] = s3_client
) -> threading.Thread | None:
    """Begins to load, in the background, what the first invocation would else have to wait for.

    Whatever fails here fails in the invocation again, which says so.

    Args:
        environ: The environment variables of the process.
        modules: Full names of modules that are loaded once the client for S3 is made.
        make_client: Makes the client.

    Returns:
        The thread that loads. None in a process that is no worker of a Lambda, or has no memory for a thread.
    """

    def load() -> None:
        with suppress(Exception):
            make_client()
            for module in modules:
                importlib.import_module(module)

    if "AWS_LAMBDA_RUNTIME_API" not in environ:
        return None
    thread = threading.Thread(target=load, name="prepare", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
