"""The process of a function: the real handler, which is called as Lambda calls it, in an environment that is fresh.

It reads events, and answers how long the handler took, how much of memory and processor, and what it returned.

    python -m scripts.bench.scale.function_process '{"function": "init"}'
"""

import contextlib
import importlib
import json
import sys
import time
from typing import Any

from lambda_image import process
from scripts.bench.scale.descriptors import limit_descriptors


def main(spec: dict[str, Any]) -> None:
    limit_descriptors()
    handler = importlib.import_module(f"lambda_image.handlers.{spec['function']}").handler
    print(json.dumps({"before_mb": process.peak_rss_mb()}), flush=True)
    for line in sys.stdin:
        event = json.loads(line)
        started, busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):  # where functions log
            returned = handler(event, None)
        figures = {
            "seconds": time.perf_counter() - started,
            "cpu_s": time.process_time() - busy,
            "peak_mb": process.peak_rss_mb(),
        }
        print(json.dumps({"figures": figures, "returned": returned}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
